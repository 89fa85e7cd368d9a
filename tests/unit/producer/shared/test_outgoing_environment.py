"""Which variables of the way out are taken: what reqwest would pass over in silence ends the start."""

from pathlib import Path

import pytest

from producer.shared.outgoing import check_environment
from producer.shared.settings.environment import SettingsError
from tests.support.certificates import Authority


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://proxy.test",
        "http://proxy.test:3128/",
        "http://user:pass%40word@proxy.test:3128",
        "https://proxy.test",
        "proxy.test:3128",
        "user:password@proxy.test:3128",
        "127.0.0.1:3128",
        "http://[::1]:3128",
    ],
)
@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_is_taken(name: str, url: str) -> None:
    check_environment({name: url})


@pytest.mark.parametrize(
    "url",
    [
        "socks5h://proxy.test:1080",
        "ftp://proxy.test",
        "HTTP://proxy.test",
        " http://proxy.test ",
        "http://proxy.test:99999",
        "http://proxy.test:0",
        "http://:3128",
        "http://::1:3128",
        "http://[::1",
        "http://two words",
        "http://user:hidden#word@proxy.test:3128",
    ],
)
@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "all_proxy"])
def test_what_is_no_proxy_is_named_without_its_password(name: str, url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        check_environment({name: url})

    said = str(raised.value)
    assert said == f"{name}: is no proxy that can be used: it must be an http:// or https:// URL"


@pytest.mark.parametrize(
    "hosts",
    [
        "",
        "*",
        "localhost,*",
        "localhost",
        "betcore.test, .example.test ,",
        "Some_Host-1.example.test",
        "127.0.0.1",
        "10.0.0.0/8,192.168.1.1/16",
        "::1,fd00::/8",
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_hosts_without_a_proxy_are_taken(name: str, hosts: str) -> None:
    check_environment({name: hosts})


@pytest.mark.parametrize(
    "hosts",
    [
        "[::1]",
        "localhost,[::1]:8080",
        "betcore.test:443",
        "127.0.0.1:80",
        "https://betcore.test",
        "*.example.test",
        "betcore.test.",
        "one.test two.test",
        "one.test;two.test",
        "10.0.0",
        ".0.0.1",
        "10.0.0.0/",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/33",
        "fe80::1%eth0",
        "b\u00e9tcore.test",
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_what_would_name_no_host_is_said(name: str, hosts: str) -> None:
    with pytest.raises(SettingsError) as raised:
        check_environment({name: hosts})

    assert str(raised.value).startswith(f"{name}: {hosts!r} cannot be read: it must be names, ")


def test_who_may_vouch_is_read(tmp_path: Path) -> None:
    check_environment({"SSL_CERT_FILE": str(Authority(tmp_path, "authority").file)})
    check_environment({"SSL_CERT_FILE": ""})


@pytest.mark.parametrize("content", [None, "", "no certificate\n"], ids=["missing", "empty", "junk"])
def test_a_file_that_names_nobody_is_said(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "authorities.pem"
    if content is not None:
        path.write_text(content, "ascii")

    with pytest.raises(SettingsError) as raised:
        check_environment({"SSL_CERT_FILE": str(path)})

    said = str(raised.value)
    assert said.startswith(f"SSL_CERT_FILE: '{path}' cannot be read (")
    assert "\n" not in said
