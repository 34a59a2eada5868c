from django.apps import AppConfig


class CitiesConfig(AppConfig):
    name = "weelo.cities"
    label = "cities"
    default_auto_field = "django.db.models.BigAutoField"
