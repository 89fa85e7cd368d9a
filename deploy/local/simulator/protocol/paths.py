"""Where BETCORE's endpoints stand below its base URL, and the partner's one below the partner's."""

from typing import Final

_API: Final = "/mis-api/api/v2"
TOKEN_PATH: Final = f"{_API}/auth/token"
JWKS_PATH: Final = f"{_API}/auth/jwks"
VERIFY_PATH: Final = f"{_API}/auth/verify"
ACCEPT_PATH: Final = f"{_API}/cashback-payments/accept"
MAKE_PATH: Final = "/cashback-payments/make"
