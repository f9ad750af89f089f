"""Texts and objects with secrets in them: the secret is gone, and masking what is masked changes nothing."""

from __future__ import annotations

import json

from harness import Reader, fuzz, instrumented

with instrumented():
    from pitstop.secrets.masking import mask, mask_value
    from pitstop.secrets.places import find_secrets

#: Where a secret can stand in a text of any kind; `{}` is the place.
PLACES = (
    "postgresql://app:{}@db.example/main",
    "postgresql://db/app?user=a&password={}&x=1",
    "host=db password={} user=app",
    "AWS_SECRET_ACCESS_KEY={}",
    "api-key={}",
    '{{"access_token": "{}", "n": 1}}',
    "{{'db_pass': '{}', 'n': 1}}",
    "['mysql', '--password', '{}', 'app']",
    "headers: Authorization: Bearer {}0123456789",
    "password: {}",
)
SECRET = "hunter2-Long"
CORPUS = (
    *(bytes([number]) + b"it said \0\0 and stopped\0\0" for number in range(len(PLACES))),
    b"\x00password='\0\0' token=\0\0",
    b"\x01a://a:a://b:@\0\0@\0\0",
    b"\x02" + b"token" * 300 + b"\0\0" + b"a." * 300 + b"=@\0\0",
    b"\x05\"secret\": {\0\0}, 'tokens': [1, 2], 'max_tokens': 5\0\0",
    b"\x03\xff\xed\xa0\x80\0\0\xf0\x9f\x98\x80\0\0",
)


def TestOneInput(data: bytes) -> None:
    """Put a secret into a text of its own kind between two others; mask texts and values of any kind."""
    reader = Reader(data)
    place, before, after = reader.choice(PLACES), reader.text(), reader.text()
    # a line of its own, as what stands before it may itself begin something that reaches into it
    text = f"{before}\n{place.format(SECRET)}\n{after}"
    assert SECRET not in mask(text, [(SECRET, "${S}")]), text
    assert SECRET not in mask(place.format(SECRET)), place
    secrets = find_secrets({before: after, "note": place.format("other-Secret1"), "password": SECRET})
    told = {"error": text, f"key {SECRET}": [text, {"password": SECRET}], "n": 1}
    masked = mask_value(told, secrets)
    assert SECRET not in json.dumps(masked), masked
    assert len(masked) == len(told)
    for any_text in (before, after, text):
        once = mask(any_text)
        assert mask(once) == once, any_text


if __name__ == "__main__":
    fuzz(TestOneInput, CORPUS)
