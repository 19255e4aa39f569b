"""TLS by this server itself; more often a proxy in front does it."""

import ssl

from hypercorn.config import Config

from agent.config import Settings
from agent.errors import ConfigError


def load_tls(settings: Settings) -> ssl.SSLContext | None:
    """What connections are encrypted by, as Hypercorn sets it up; None where nothing is configured.

    :raises ConfigError: only one of the two files is named, or they cannot be used.
    """
    certificate, key = settings.tls_cert_file, settings.tls_key_file
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        missing = "TLS_CERT_FILE" if certificate is None else "TLS_KEY_FILE"
        raise ConfigError(f"{missing}: must be set too: TLS needs a certificate and its key")
    config = Config()
    config.certfile, config.keyfile = certificate, key
    # Else OpenSSL would ask on the terminal for the password of a key that has one, and wait.
    config.keyfile_password = ""
    # No HTTP/2: browsers do without, and a client could hold back its streams one by one.
    config.alpn_protocols = ["http/1.1"]
    try:
        return config.create_ssl_context()
    except OSError as error:  # ssl.SSLError is one
        words = f"cannot be used as a certificate and its key without a password: {error}"
        raise ConfigError(f"TLS_CERT_FILE, TLS_KEY_FILE: {certificate}, {key} {words}") from error
