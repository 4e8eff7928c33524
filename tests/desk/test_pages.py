"""The pages: who sees them, and what they are not allowed to do."""

import re
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

APP = Path(__file__).resolve().parents[2] / "ctrader_app"
SCRIPTS = sorted((APP / "static" / "desk" / "js").glob("*.js"))


def test_the_desk_is_for_those_who_are_signed_in(client: Client, user: User) -> None:
    response = client.get("/")
    assert (response.status_code, response.headers["Location"]) == (302, "/login/?next=/")
    client.force_login(user)
    response = client.get("/")
    assert response.status_code == 200
    assert b'data-api="/api/"' in response.content
    assert "no-store" in response.headers["Cache-Control"]


def test_signing_in_and_out(client: Client, db: None) -> None:
    User.objects.create_user("eve", password="correct horse battery")
    refused = client.post("/login/", {"username": "eve", "password": "wrong"})
    assert refused.status_code == 200
    assert b"do not match" in refused.content
    let_in = client.post("/login/?next=/", {"username": "eve", "password": "correct horse battery", "next": "/"})
    assert (let_in.status_code, let_in.headers["Location"]) == (302, "/")
    assert client.get("/login/").headers["Location"] == "/"
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/").headers["Location"] == "/login/"
    assert client.get("/").status_code == 302


def test_signing_in_never_leads_elsewhere(client: Client, db: None) -> None:
    User.objects.create_user("eve", password="correct horse battery")
    sent = {"username": "eve", "password": "correct horse battery", "next": "https://evil.example/"}
    assert client.post("/login/", sent).headers["Location"] == "/"


@pytest.mark.parametrize("path", ["/", "/login/"])
def test_pages_are_strict(client: Client, user: User, path: str) -> None:
    if path == "/":
        client.force_login(user)
    response = client.get(path)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    html = response.content.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", html)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", html))
    assert not re.search(r"(src|href)=\"(https?:)?//(?!www\.tradingview\.com/)", html)


def test_the_chart_library_is_named_with_its_maker(client: Client, user: User) -> None:
    client.force_login(user)
    assert b'href="https://www.tradingview.com/"' in client.get("/").content
    vendored = APP / "static" / "desk" / "vendor" / "lightweight-charts"
    assert "Apache License" in (vendored / "LICENSE").read_text()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_insert_text_and_never_markup(script: Path) -> None:
    source = script.read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", source)
    for imported in re.findall(r'from "(\.[^"]+)"', source):
        assert (script.parent / imported).resolve().is_file()


@pytest.mark.parametrize("name", ["desk/desk.css", "desk/icon.svg", "desk/js/main.js"])
def test_the_files_are_served(client: Client, name: str) -> None:
    response = client.get(f"/static/{name}")
    assert response.status_code == 200
    assert b"".join(response) == (APP / "static" / name).read_bytes()
