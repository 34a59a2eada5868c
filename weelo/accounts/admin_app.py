"""Django's admin with our own door; named in INSTALLED_APPS in place of `django.contrib.admin`."""

from django.contrib.admin.apps import AdminConfig


class AdminApp(AdminConfig):
    default_site = "weelo.accounts.staff.Desk"
