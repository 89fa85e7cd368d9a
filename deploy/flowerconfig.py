"""Flower's options, read by `celery --app deploy.monitor flower --conf=deploy/flowerconfig.py`.

A name here that is also an option of Flower sets it, and wins over a `FLOWER_…` environment variable.
Decisions 7 and 38.
"""

from deploy.flower_guard import install
from deploy.monitor import process_settings

# Closes all but /healthcheck and /metrics (names of workers and tasks, counts): keep its port off the public
# network. docs/security.md.
basic_auth = process_settings().logins
install(process_settings().proxies)

# A dashboard looks on. A task revoked or a consumer cancelled by a stray click would be an event that ends in
# silence or a worker that idles; what an operator may do is done with `cashback`, which leaves a record.
read_only = True

# Flower holds what it shows in memory: about 7.3 KB a task as the process grows, 146 MB in all; the objects
# alone are 5.3 KB.
max_tasks = 20_000
max_workers = 500
persistent = False

# With autoscaling each start is a new worker name: forget those that left, but show a crash for an hour.
purge_offline_workers = 3_600

# What one looks for first stands first: the table is wider than most screens.
tasks_columns = "name,state,kwargs,retries,exception,received,started,runtime,worker,uuid,args"
# Times stand to the second next to those of the logs, not as "a moment ago".
natural_time = False
auto_refresh = True
enable_events = True
debug = False

# Whoever reaches the port could name any address in these headers; what our own proxies say of it is read by
# deploy/flower_guard.py, and the scheme is of no use here.
xheaders = False
