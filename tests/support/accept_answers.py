"""What BETCORE answers to an accept."""

from tests.support.raw_betcore import reply

ACK = reply(200)


REFUSAL = reply(400, b'{"ErrorCode": 103752, "Message": "Incorrect request parameters"}')


PASSING = reply(200, b'{"ErrorCode": 102823, "Message": "Error accepting transaction"}')


AMOUNT_MINOR = 100_050
