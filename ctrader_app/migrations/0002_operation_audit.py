"""Let the database keep the audit trail of operations, in the statement that moves them."""

from django.db import migrations, models

POSTGRESQL = """
CREATE FUNCTION ctrader_audit_operation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ctrader_app_operationtransition (operation_id, from_state, to_state, reason, evidence, actor, at)
    VALUES (NEW.id, CASE WHEN TG_OP = 'INSERT' THEN '' ELSE OLD.state END,
            NEW.state, NEW.reason, NEW.evidence, NEW.actor, NEW.updated_at);
    RETURN NULL;
END $$;
CREATE TRIGGER ctrader_operation_made AFTER INSERT ON ctrader_app_operation
    FOR EACH ROW EXECUTE FUNCTION ctrader_audit_operation();
CREATE TRIGGER ctrader_operation_moved AFTER UPDATE OF state ON ctrader_app_operation
    FOR EACH ROW
    WHEN (OLD.state <> NEW.state OR OLD.reason <> NEW.reason OR OLD.evidence <> NEW.evidence)
    EXECUTE FUNCTION ctrader_audit_operation();
"""

POSTGRESQL_BACK = """
DROP TRIGGER ctrader_operation_moved ON ctrader_app_operation;
DROP TRIGGER ctrader_operation_made ON ctrader_app_operation;
DROP FUNCTION ctrader_audit_operation();
"""

SQLITE = (
    """
    CREATE TRIGGER ctrader_operation_made AFTER INSERT ON ctrader_app_operation
    BEGIN
        INSERT INTO ctrader_app_operationtransition (operation_id, from_state, to_state, reason, evidence, actor, at)
        VALUES (NEW.id, '', NEW.state, NEW.reason, NEW.evidence, NEW.actor, NEW.updated_at);
    END
    """,
    """
    CREATE TRIGGER ctrader_operation_moved AFTER UPDATE OF state ON ctrader_app_operation
    WHEN OLD.state <> NEW.state OR OLD.reason <> NEW.reason OR OLD.evidence <> NEW.evidence
    BEGIN
        INSERT INTO ctrader_app_operationtransition (operation_id, from_state, to_state, reason, evidence, actor, at)
        VALUES (NEW.id, OLD.state, NEW.state, NEW.reason, NEW.evidence, NEW.actor, NEW.updated_at);
    END
    """,
)

SQLITE_BACK = ("DROP TRIGGER ctrader_operation_moved", "DROP TRIGGER ctrader_operation_made")


def _run(apps, schema_editor, postgresql, sqlite):
    vendor = schema_editor.connection.vendor
    if vendor == "postgresql":
        schema_editor.execute(postgresql)
    elif vendor == "sqlite":
        for statement in sqlite:
            schema_editor.execute(statement)
    else:
        raise NotImplementedError(f"django-ctrader keeps its ledger in PostgreSQL or SQLite, not in {vendor}")


def forwards(apps, schema_editor):
    _run(apps, schema_editor, POSTGRESQL, SQLITE)


def backwards(apps, schema_editor):
    _run(apps, schema_editor, POSTGRESQL_BACK, SQLITE_BACK)


class Migration(migrations.Migration):
    dependencies = [("ctrader_app", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="operation",
            name="reason",
            field=models.CharField(blank=True, help_text="Why it is in its state.", max_length=200),
        ),
        migrations.AddField(
            model_name="operation",
            name="evidence",
            field=models.TextField(blank=True, help_text="What was seen when it came there."),
        ),
        migrations.AddField(
            model_name="operation",
            name="actor",
            field=models.CharField(
                blank=True, help_text="A person's name, or the part of the system.", max_length=150
            ),
        ),
        # A later migration that rebuilds the table on SQLite loses its triggers and has to make them anew.
        migrations.RunPython(forwards, backwards),
    ]
