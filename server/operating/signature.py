"""How a webhook is signed: by the public convention called Standard Webhooks.

The signature is HMAC-SHA256 over `id.timestamp.body`, in base64, behind `v1,`. The secret is any
text; one that begins with `whsec_` is base64 behind that, as the convention's libraries have it.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final

from agent.errors import ConfigError

_PREFIX: Final = "whsec_"
MIN_SECRET_BYTES: Final = 16
"""A shorter key could be guessed."""


def key_of(secret: str) -> bytes:
    """The key that a secret stands for.

    :raises ConfigError: it is none, or is too short. The text does not show it.
    """
    key = secret.encode()
    if secret.startswith(_PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            raise ConfigError("WEBHOOK_SECRET: what follows whsec_ must be base64") from None
    if len(key) < MIN_SECRET_BYTES:
        raise ConfigError(f"WEBHOOK_SECRET: must have {MIN_SECRET_BYTES} bytes at least")
    return key


def signed(key: bytes, webhook_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of one delivery.

    :param timestamp: of this try, seconds since 1970.
    """
    content = f"{webhook_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, content, hashlib.sha256).digest()
    return {
        "Webhook-Id": webhook_id,
        "Webhook-Timestamp": str(timestamp),
        "Webhook-Signature": f"v1,{base64.b64encode(digest).decode()}",
    }
