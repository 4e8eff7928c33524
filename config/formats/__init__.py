"""How the site writes dates, by language (Django's FORMAT_MODULE_PATH)."""
