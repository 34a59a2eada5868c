from django.apps import AppConfig


class TransportersConfig(AppConfig):
    name = "transporters"
    label = "transporters"
    default_auto_field = "django.db.models.BigAutoField"
