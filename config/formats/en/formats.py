"""Django's own English has no seconds, and an order lives for less than a minute."""

DATETIME_FORMAT = "Y-m-d H:i:s"
