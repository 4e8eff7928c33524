"""Let PostgreSQL call whoever waits when an operation becomes final. The payload is the operation's id."""

from django.db import migrations

FORWARDS = """
CREATE FUNCTION ctrader_call_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('ctrader_operations', NEW.id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER ctrader_operation_final AFTER UPDATE OF state ON ctrader_app_operation
    FOR EACH ROW
    WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL)
    EXECUTE FUNCTION ctrader_call_final();
"""

BACKWARDS = """
DROP TRIGGER ctrader_operation_final ON ctrader_app_operation;
DROP FUNCTION ctrader_call_final();
"""


def forwards(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(FORWARDS)


def backwards(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(BACKWARDS)


class Migration(migrations.Migration):
    dependencies = [("ctrader_app", "0002_operation_audit")]

    operations = [migrations.RunPython(forwards, backwards)]
