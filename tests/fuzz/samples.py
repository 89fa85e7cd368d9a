"""A key and two tokens, always the same, so that an input that found something finds it again.

What signed them is not kept. The tokens are valid at `NOW`, for `CLIENT_ID`; the second is of another key.
"""

from datetime import UTC, datetime
from typing import Any, Final

CLIENT_ID: Final = "PartnerClient-1556"
AT: Final = 1_800_000_000
NOW: Final = datetime.fromtimestamp(AT + 1, tz=UTC)

_MODULUS: Final = (
    "5TJ-"
    "l8T6lKQgsLGo0ak9M725dMGyHEMkyX0QGnrWeNVFGEwTrxUaBeo2_02NgwyqXTmNTB9LhJCcDQqQCV6O9tam3YXFkNZ2e_Uz"
    "LsW5VMb3QfNwB1xThNHAuqDPpd1AvQKpBT-vvRQNUKo87r_iD9iCnp-"
    "F0iqHxoHLatICjl9H7lFQZSvfuEW7ViTNOnymqDL5e7cVRh9Q1C_OsdxuNAMiLMtc29WpmUP7xwpjfFC0QBD_PjJjSHvCzZC"
    "tFQOkjHxAbkCqIWjtBrmtaJfMKSdToKNrmg1mmPh_Q_9dW5Hd7M5q-ME6ajYKBYX_uc2s0gbKTh0zYezIgL7DY2MuMw"
)
JWK: Final[dict[str, Any]] = {
    "kty": "RSA",
    "use": "sig",
    "alg": "RS256",
    "kid": "0000000000000000000000000000000000000001",
    "e": "AQAB",
    "n": _MODULUS,
}
TOKEN: Final = (
    "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogIjAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDEiLCAieDV0"
    "IjogInh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eCIsICJ0eXAiOiAiSldUIn0.eyJuYmYiOiAxODAwMDAwMDAwLCAiZXhw"
    "IjogMTgwMDAwMDAxMCwgImlzcyI6ICJodHRwczovL2lkZW50aXR5LWFwaS5iZXRjb3JlLnRlc3QiLCAiY2xpZW50X2lkIjog"
    "IlBhcnRuZXJDbGllbnQtMTU1NiIsICJkYXRhIjogIntcIkNhc2hiYWNrSWRcIjogNDgwLCBcIlBhcnRuZXJVc2VySWRcIjog"
    "XCIxODg1MDlcIiwgXCJUcmFuc2FjdGlvblR5cGVcIjogMSwgXCJBbW91bnRcIjogXCIxMDAwLjUwXCIsIFwiVGF4QW1vdW50"
    "XCI6IFwiMFwifSJ9.3kNOzrsLcnPwCCH6GorRLx_VaOkKcbUcVTrOISJnjl2txzIxt-"
    "eALAPn8fM8Nq4BiLSqcAorxpDuBQnGXfP-463hZ-"
    "LfBFm80e42ZCbQiDN1yetP_ErDdpRoPQkELdSL4m-22iTEameSyntbmIr7OrM0Sd_orm4TmlRirD8DX-"
    "bnc_B0G4wubUnxmf2Gh3Np7mX-mroUloObtKRmESyWrnD6LmmKf6vRjVonrDI38uh5nR5F8JRPI661lryccG2eYQIxTJL_aJ"
    "TQAeicWA3_QdL_uEsXpLdVyCAT0tA6cEgi8N7-nvGTGjTWzBf2_MO6UerFRsNoQ_WYUnnO-QdBUg"
)
OTHER_TOKEN: Final = (
    "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogIjAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDIiLCAieDV0"
    "IjogInh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eCIsICJ0eXAiOiAiSldUIn0.eyJuYmYiOiAxODAwMDAwMDAwLCAiZXhw"
    "IjogMTgwMDAwMDAxMCwgImlzcyI6ICJodHRwczovL2lkZW50aXR5LWFwaS5iZXRjb3JlLnRlc3QiLCAiY2xpZW50X2lkIjog"
    "IlBhcnRuZXJDbGllbnQtMTU1NiIsICJkYXRhIjogIntcIkNhc2hiYWNrSWRcIjogNDgwLCBcIlBhcnRuZXJVc2VySWRcIjog"
    "XCIxODg1MDlcIiwgXCJUcmFuc2FjdGlvblR5cGVcIjogMSwgXCJBbW91bnRcIjogXCIxMDAwLjUwXCIsIFwiVGF4QW1vdW50"
    "XCI6IFwiMFwifSJ9.nEvj3CgqYjaXstoYzhSMIkXHAABFyHzGZ6IOWwKGubatcgvOcQId5Kt9_WdUjH2oMJETtdijqUGHHX4"
    "Bfmtrl7tdj5cQzcCTtPOQm3GcWFvdivvs3xUeiB8Ahv-elX8tyeG6l4aIxtdDK7B-"
    "8opkKyCKUZ9zCu3QCNc91oMBxXWCADkSo6dKtlURh62Kz3aZruZk29EvO4pWV5tanGo5fHe3YGJbWtiTmMDxKfP9RCG836HV"
    "XjCMn9bNI7H7zzJcDgil7B-8JZikSgTRD5AaeaMeYV7OaAsJCMq1lo6MgFvwnCOo-JWSTyY9dSHqV1WSwlWs-"
    "uw25zK8da70ETW9Dg"
)
