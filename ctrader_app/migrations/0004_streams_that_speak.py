"""What is heard of the streams that somebody wants, who tells which are silent, and the sockets of each web process."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ctrader_app', '0003_operation_calls'),
    ]

    operations = [
        migrations.CreateModel(
            name='Duty',
            fields=[
                ('name', models.CharField(max_length=40, primary_key=True, serialize=False)),
                ('holder', models.CharField(max_length=120)),
                ('until', models.DateTimeField()),
            ],
            options={
                'verbose_name_plural': 'duties',
            },
        ),
        migrations.CreateModel(
            name='Feed',
            fields=[
                ('group', models.CharField(help_text='The Channels group of its prices or bars.', max_length=100, primary_key=True, serialize=False)),
                ('last_event_at', models.DateTimeField(help_text='When it last brought something new.')),
                ('quoted_at', models.DateTimeField(blank=True, help_text="The venue's own time of that quote.", null=True)),
                ('bid', models.FloatField(blank=True, null=True)),
                ('ask', models.FloatField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name='WebProcess',
            fields=[
                ('name', models.CharField(help_text='host:pid:random', max_length=120, primary_key=True, serialize=False)),
                ('seen_at', models.DateTimeField()),
                ('sockets', models.JSONField(default=dict, help_text='Open sockets by kind: prices, accounts.')),
            ],
            options={
                'verbose_name_plural': 'web processes',
            },
        ),
        migrations.AddField(
            model_name='subscriptionlease',
            name='produced_since',
            field=models.DateTimeField(blank=True, help_text='When it first did: from then on the stream is expected to bring something.', null=True),
        ),
    ]
