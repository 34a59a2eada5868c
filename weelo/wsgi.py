"""The HTTP service: the API and the admin, served by gunicorn's threads."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "weelo.settings")
application = get_wsgi_application()
