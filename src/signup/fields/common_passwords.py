"""What passwords are made of that are tried first.

A list of one's own can only be small: millions of whole passwords are the breach check's business
(`signup.guards.breached_passwords`). Here are words that long passwords are often put together from, and rows of keys;
`signup.fields.password_policy` finds them in any order, repeated, and with digits behind them.
"""

# Folded as `signup.fields.password_policy` folds a password: lower case, no accents, letters alone.
WORDS = frozenset(
    # One a line would be a page of nothing.
    """
    password passwords mypassword thisismypassword passwort kennwort motdepasse contrasena senha wachtwoord parola haslo
    passw0rd passwd pass login signin signup admin administrator root guest user username default changeme letmein
    trustno temp test testing secret geheim access security master
    welcome willkommen bienvenue bienvenido hello hallo iloveyou ichliebedich jetaime teamo tequiero
    monkey dragon football baseball basketball soccer superman batman pokemon starwars princess sunshine shadow cheese
    computer internet whatever samsung google
    """.split()  # noqa: SIM905
)

# Keys and characters that follow each other, read in either direction: three layouts, their columns and their digits.
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
