"""The HTTP service: the API and the admin, served by gunicorn's threads."""

import os
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "weelo.settings")
application = get_wsgi_application()
# The views are loaded before gunicorn forks, or the first request to each worker that replaces
# a killed one would have to wait until they are.
import_module(settings.ROOT_URLCONF)
