"""Flower's options, read by `celery --app deploy.monitor flower --conf=deploy/flowerconfig.py`.

A name here that is also an option of Flower sets it, and wins over a `FLOWER_…` environment variable.
Decision 7.
"""

from deploy.monitor import settings_or_exit

# The login also closes /api: FLOWER_UNAUTHENTICATED_API only counts where no login is set. Flower leaves open
# /healthcheck, and /metrics (names of workers and tasks, counts): keep its port off the public network.
basic_auth = settings_or_exit().logins

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

# Behind the proxy that adds TLS: scheme and client address are the proxy's to say.
xheaders = True
