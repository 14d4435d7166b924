"""What a mapping or a pair says about the values in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from pytest_agenttape.model import JSON
from pytest_agenttape.redaction import names
from pytest_agenttape.redaction.memory import Memory
from pytest_agenttape.redaction.names import Rule

LOGPROB_KEYS = frozenset(("logprob", "top_logprobs"))
VALUE_KEYS = frozenset(("value", "Value"))
KEY = "key"  # a secret where ``type`` beside it has the name of one

_ERROR_KEYS = frozenset(("type", "module"))
_SCHEMA_KEYS = frozenset(("$ref", "anyOf", "oneOf", "allOf", "enum", "properties"))
_SCHEMA_TYPES = ("string", "object", "array", "number", "integer", "boolean", "null")
# The last word of keys whose values say something about a secret.
_LABELS = frozenset(
    "id name type kind version user username login email scope region description label status at on by in url uri"
    " domain path host hash algorithm message detail code reason".split()
)
_CREDENTIAL_KEYS = frozenset("key token value secret pass pw auth".split())
_LAST_WORD = re.compile(r"(?:[A-Z]?[a-z]+|[A-Z]+)(?=[0-9_-]*\Z)")
KEY_TYPE = "kty"  # beside the parts of a key in JSON (RFC 7517), of which these are private
_PRIVATE_PARTS = frozenset(("d", "p", "q", "dp", "dq", "qi", "k"))
_NAME_KEYS = ("name", "key", "header", "Name", "Key")
_LONGEST_NAME = 64  # of a pair


def rules_within(node: Mapping[JSON, JSON], rule: Rule, memory: Memory) -> Callable[[JSON], Rule]:
    """Return a function from the keys of *node*, whose name implies *rule*, to the rules for what is under them."""
    inherited = rule_for_entries(node, rule)
    is_logprob = not LOGPROB_KEYS.isdisjoint(node)
    is_failure = is_error(node)
    named = rule_of_named(node, memory) if not VALUE_KEYS.isdisjoint(node) else Rule.NONE
    if rule is Rule.COOKIES and not named:
        named = Rule.LOOSE
    typed = rule_of_typed(node, memory) if KEY in node else Rule.NONE

    def rule_within(key: JSON) -> Rule:
        if (is_logprob and key == "token") or (is_failure and key in _ERROR_KEYS):
            return Rule.NONE
        if named and key in VALUE_KEYS:
            return named
        if typed and key == KEY:
            return typed
        if KEY_TYPE in node and isinstance(key, str) and key in _PRIVATE_PARTS:
            return Rule.ALWAYS
        own = memory.rule_of(key, names.body_rule) if isinstance(key, str) else Rule.NONE
        return own or rule_of_entry(key, inherited)

    return rule_within


def is_error(node: Mapping[JSON, JSON]) -> bool:
    """Return whether *node* is the stored form of an exception, raised or returned."""
    return node.get("$type") == "exception" or {"type", "module", "message"} <= node.keys()


def rule_for_entries(node: Mapping[JSON, JSON], rule: Rule) -> Rule:
    """Return the rule for entries of *node*, whose name implies *rule*; a schema only describes them."""
    if rule in (Rule.ALWAYS, Rule.SEVERAL):
        return rule
    if rule < Rule.LOOSE or _is_schema(node):
        return Rule.NONE
    is_cookie_of_browser = rule is Rule.COOKIES and "name" in node
    return Rule.NONE if is_cookie_of_browser else Rule.LOOSE


def _is_schema(node: Mapping[JSON, JSON]) -> bool:
    kind = node.get("type")
    kinds = kind if isinstance(kind, list) and kind else [kind]
    return all(each in _SCHEMA_TYPES for each in kinds) or not _SCHEMA_KEYS.isdisjoint(node)


def rule_of_entry(key: JSON, inherited: Rule) -> Rule:
    """Return the rule for the value under *key*, which says nothing itself, given what all entries have."""
    if inherited not in (Rule.SEVERAL, Rule.LOOSE):
        return inherited
    word = _LAST_WORD.search(key) if isinstance(key, str) else None
    last = word[0].lower() if word else ""
    if inherited is Rule.SEVERAL:
        return Rule.SHAPED if last in _CREDENTIAL_KEYS else Rule.RANDOM
    return Rule.NONE if last in _LABELS else Rule.LOOSE


def rule_of_named(node: Mapping[JSON, JSON], memory: Memory) -> Rule:
    """Return the rule for ``value`` in ``{"name": "API_KEY", "value": ...}``."""
    if node.get("Type") == "SecureString":  # a parameter of AWS Systems Manager, decrypted
        return Rule.ALWAYS
    for mark in _NAME_KEYS:
        if isinstance(node.get(mark), str):
            return memory.rule_of(node[mark], names.body_rule)
    return Rule.NONE


def rule_of_typed(node: Mapping[JSON, JSON], memory: Memory) -> Rule:
    """Return the rule for ``key`` in ``{"type": "api_key", "key": ...}``, as Azure OpenAI takes it of a source."""
    kind = node.get("type")
    is_secrets = isinstance(kind, str) and memory.rule_of(kind, names.body_rule) >= Rule.SHAPED
    return Rule.LOOSE if is_secrets else Rule.NONE  # a field of a form has such a type, too, and its name as the key


def is_logprobs(node: JSON) -> bool:
    return len(node) > 1 and isinstance(node[0], dict) and "logprob" in node[0]


def option_rule(name: JSON, memory: Memory) -> Rule:
    """Return the rule for what follows an option such as ``--token`` in a list of arguments."""
    return pair_rule(name, memory) if isinstance(name, str) and name.startswith("--") else Rule.NONE


def pair_rule(name: str, memory: Memory) -> Rule:
    """Return the rule for the second text of a pair such as ``["Authorization", "Bearer ..."]``."""
    if len(name) > _LONGEST_NAME or " " in name:
        return Rule.NONE
    return memory.rule_of(name, names.body_rule)
