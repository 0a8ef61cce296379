"""English, the language of clients that ask for none of the others. CONTRIBUTING.md says how to add a language."""

# Title and detail of each problem, by its code.
PROBLEMS = {
    "internal": (
        "Internal error",
        "Something went wrong on our side. It is not known whether the account was created.",
    ),
    "malformed_json": ("Malformed JSON", "Send one JSON object (RFC 8259) in UTF-8, without duplicate names."),
    "malformed_form": ("Malformed form", "Send the form in UTF-8, with each field at most once."),
    "bad_idempotency_key": ("Bad idempotency key", "Use 1 to 255 visible ASCII characters as the Idempotency-Key."),
    "cross_origin_refused": ("Cross-origin request refused", "Pages of this origin are not allowed to sign users up."),
    "https_required": (
        "HTTPS required",
        "The request was sent over plain HTTP, and its body was not read. Send it to the https:// address.",
    ),
    "not_found": ("Not found", "Nothing exists at this path. To sign up, send a POST request to /."),
    "method_not_allowed": (
        "Method not allowed",
        "This path does not support the request's method. The Allow header lists the supported methods.",
    ),
    "body_timeout": (
        "Request body timed out",
        "The request body did not arrive in time. Nothing was created. Please try again.",
    ),
    "email_taken": ("E-mail address already in use", "An account with this e-mail address already exists."),
    "body_too_large": ("Request body too large", "The request body must be at most 16 KiB."),
    "unsupported_media_type": (
        "Unsupported media type",
        "Send JSON or a form with the matching Content-Type, in UTF-8 and without a Content-Encoding.",
    ),
    "validation_failed": (
        "Validation failed",
        "Some fields are missing, invalid or unknown. `errors` lists each of them.",
    ),
    "idempotency_mismatch": (
        "Idempotency key reused",
        "This Idempotency-Key was used with a different request. Use a new key for a new sign-up.",
    ),
    "rate_limited": (
        "Too many requests",
        "Too many requests came from this client or for this e-mail address. Please try again later.",
    ),
    "misconfigured": (
        "Service misconfigured",
        "This service is not set up correctly. Its log names the setting that is wrong.",
    ),
    "bot_check_unavailable": (
        "Bot check unavailable",
        "The bot check cannot be reached. Nothing was created. Please try again later.",
    ),
    "breach_check_unavailable": (
        "Breach check unavailable",
        "The password could not be checked against known data breaches. Please try again later.",
    ),
    "too_busy": (
        "Too busy",
        "Too many sign-ups are in progress. Nothing was created. Please try again later.",
    ),
    "proxy_busy": (
        "Database busy",
        "Too many requests are waiting for the database. Please try again later.",
    ),
    "proxy_unavailable": ("Database unavailable", "The database cannot be reached. Please try again later."),
    "proxy_timeout": (
        "Database timed out",
        "The database did not answer in time. It is not known whether the account was created.",
    ),
}

# What is wrong with a field, by the code of the error; "FIELD.CODE" replaces "CODE" for one field.
FIELD_ERRORS = {
    "required": "This field is required.",
    "name.required": "Enter your name.",
    "email.required": "Enter your e-mail address.",
    "password.required": "Enter a password.",
    "cf-turnstile-response.required": "Please complete the bot check.",
    "unknown_field": "This field is not supported.",
    "not_a_string": "The value must be a string.",
    "too_short": "This field must be at least {limit} characters long.",
    "name.too_short": "Enter your name.",
    "password.too_short": "The password must be at least {limit} characters long.",
    "too_long": "This field can be at most {limit} characters long.",
    "name.too_long": "The name can be at most {limit} characters long.",
    "password.too_long": "The password can be at most {limit} characters long.",
    "control_character": "This field must not contain control characters such as line breaks.",
    "name.control_character": "The name must not contain control characters such as line breaks.",
    "invisible_character": "This field must not contain invisible characters.",
    "name.invisible_character": "The name must not contain invisible characters.",
    "not_an_email_address": "Enter an e-mail address like ada@example.com.",
    "mixed_scripts": "Do not mix alphabets, such as Latin and Cyrillic, in the e-mail address.",
    "compatibility_character": "Do not use ligatures or similar forms before the @ of the e-mail address.",
    "subaddress_refused": "Enter an e-mail address without a + before the @.",
    "built_from_name": "This password is too close to your name.",
    "built_from_email": "This password is too close to your e-mail address.",
    "built_from_service_name": "This password is too close to the name of this service.",
    "too_common": "This password is too easy to guess. Avoid common passwords, keyboard rows and repetition.",
    "breached": "This password has appeared in a data breach. Choose another one.",
    "bot_check_expired": "The bot check has expired. Please complete it again.",
    "bot_check_failed": "The bot check was not passed. Please try it again.",
    "bot_check_foreign": "The bot check belongs to another page. Reload this page and try again.",
}

# The label of each field on the page.
LABELS = {
    "name": "Name",
    "email": "E-mail address",
    "password": "Password",
}

# Everything else on the page, by the name that the templates use. Braces enclose what is filled in.
PAGE = {
    "title": "Create your account",
    "title_with_errors": "Error: Create your account",
    "optional": "{label} (optional)",
    "hint": "Use at least {limit} characters. Any characters are allowed, including spaces.",
    "show": "Show password",
    "submit": "Create account",
    "no_script": "The bot check needs JavaScript. Please turn it on in your browser.",
    "errors": "Please correct the highlighted fields",
    "retry_after": "Please wait {seconds} s, then try again.",
    "safe_to_retry": "You can safely try again. No second account is created.",
    "reference": "Request ID for support: {id}",
    "created_title": "You are signed up",
    "created": "Your account was created.",
    "accepted_title": "Thank you",
    "accepted": "If there was no account with your e-mail address, there is one now.",
    # Shown by the script alone.
    "sending": "Creating your account …",
    "missing": "Characters still needed: {n}",
    "enough": "Long enough",
    "surplus": "Characters over the limit: {n}",
    "no_response_title": "No response",
    "no_response": "The service could not be reached, or its response was lost.",
}
