"""`python -m producer.receiver.openapi`: print the document."""

import sys

from producer.receiver.openapi.document import rendered

sys.stdout.write(rendered())
