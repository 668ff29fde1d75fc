"""Questions of a few choices: each with what each choice earns; the first choice is right."""

from __future__ import annotations

QUIZZES: dict[str, tuple[str, dict[str, str]]] = {
    "00.5": (
        "An autoencoder copies every picture well. Why is what it decodes from N(0, I) rubbish?",
        {
            "Its loss does not say where latents lie": (
                "The decoder is right only where the encoder put pictures, and that is elsewhere."
            ),
            "It was trained for too few epochs": (
                "More epochs mend the copies. They say nothing about places without pictures."
            ),
            "Eight numbers cannot hold a picture": (
                "For most they can, as copies show. The trouble is which eight numbers are drawn."
            ),
            "The decoder has no noise": (
                "Noise on the pixels would make grain. It would not make clothes of smears."
            ),
        },
    ),
}
