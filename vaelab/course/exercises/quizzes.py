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
    "01.4": (
        "An error falls from 0.1 to 0.01, then to 0.001. With the best γ, which step saves more?",
        {
            "Both save the same": (
                "Each takes d/2 · log 10 nats off −log p(x | z): its minimum holds the error's log."
            ),
            "The first, since the error falls by more": (
                "So it would be with γ fixed. The best γ falls with the error, and makes it dearer."
            ),
            "The second, since γ is smaller there": (
                "A small γ makes error dear, but there is less of it: C / γ is 1 at all three."
            ),
            "Neither: the best γ makes up for the error": (
                "C / γ is 1 each time, but the term log γ falls, and the cost with it."
            ),
        },
    ),
    "06.4": (
        "Why does a second VAE find the distribution of its data, where the first one did not?",
        {
            "Its data fill all their dimensions": (
                "So d − r is 0: a smaller γ saves nothing, only the right distribution does."
            ),
            "Its data are normal already": (
                "They are not: that is the gap. Were they normal, no second VAE would be needed."
            ),
            "It has more latent dimensions": (
                "It has as many as the first. What differs is how many of theirs its data fill."
            ),
            "It adds noise when it decodes": (
                "So does the first, by its own γ. Where γ may fall for ever, little of it is left."
            ),
        },
    ),
}
