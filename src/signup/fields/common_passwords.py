"""Common words and rows of keys, from which easily guessed passwords are built.

The list is short, because `signup.guards.breached_passwords` can look up complete passwords in published breaches.
`signup.fields.password_policy` finds these words and rows in any order, repeated, and followed by digits.
"""

# The words are written as `signup.fields.password_policy` compares them: in lower case, without accents and symbols.
WORDS = frozenset(
    # Several words on each line keep the list short.
    """
    password passwords mypassword thisismypassword passwort kennwort motdepasse contrasena senha wachtwoord parola haslo
    passw0rd passwd pass login signin signup admin administrator root guest user username default changeme letmein
    trustno temp test testing secret geheim access security master
    welcome willkommen bienvenue bienvenido hello hallo iloveyou ichliebedich jetaime teamo tequiero
    monkey dragon football baseball basketball soccer superman batman pokemon starwars princess sunshine shadow cheese
    computer internet whatever samsung google
    """.split()  # noqa: SIM905
)

# Adjacent keys and characters, matched in both directions: the alphabet, digits, the rows of the keyboard layouts
# QWERTY, QWERTZ and AZERTY, the columns of QWERTY, and digits that alternate with letters.
ROWS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "!@#$%^&*()_+",
    '!"\u00a7$%&/()=?',
    "qwertyuiop[]",
    "qwertzuiop",
    "azertyuiop",
    "asdfghjkl;'",
    "qsdfghjklm",
    "zxcvbnm,./",
    "yxcvbnm,.-",
    "wxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "1q2w3e4r5t6y7u8i9o0p",
    "1a2b3c4d5e6f7g8h9i0j",
    "a1b2c3d4e5f6g7h8i9j0",
)
