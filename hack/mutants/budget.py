"""Mutants of what may be spent: limits, the stop after a refusal, a rebuilt ledger."""

from __future__ import annotations

from typing import Final

from hack.mutants.mutant import Mutant

BUDGET: Final = (
    # What fits.
    Mutant(
        "held-money-ignored",
        "lib/budget",
        "sums[3] + sums[4] + amount",
        "sums[3] + amount",
        "spent and held together never pass the limit",
    ),
    Mutant(
        "spent-money-ignored",
        "lib/budget",
        "sums[3] + sums[4] + amount",
        "sums[4] + amount",
        "spent and held together never pass the limit",
    ),
    Mutant(
        "last-micro-dollar-refused",
        "lib/budget",
        "amount > sums[1]",
        "amount >= sums[1]",
        "nobody is refused while there is money left",
    ),
    Mutant(
        "repairs-get-no-more",
        "lib/budget",
        "(fix and 0 or sums[2])",
        "sums[2]",
        "repairs may use what is kept for them",
    ),
    Mutant(
        "money-for-repairs-spent",
        "lib/budget",
        "(fix and 0 or sums[2])",
        "0",
        "what is kept for repairs is theirs alone",
    ),
    Mutant(
        "repair-taken-for-other-work",
        "reserve",
        "local fix = kind == 'fix_bug'",
        "local fix = false",
        "repairs may use what is kept for them",
    ),
    Mutant(
        "token-limit-ignored",
        "lib/budget",
        "return not most or ",
        "return true or ",
        "tokens never pass their limit",
    ),
    Mutant(
        "held-tokens-ignored",
        "lib/budget",
        "sums[9] + sums[10] + tokens",
        "sums[9] + tokens",
        "held tokens count",
    ),
    Mutant(
        "unknown-tokens-ignored",
        "lib/budget",
        "sums[9] + sums[10] + tokens",
        "sums[10] + tokens",
        "tokens of a call without usage count whole",
    ),
    Mutant(
        "cached-tokens-ignored",
        "lib/budget",
        "sums[6] + sums[7] + sums[8]",
        "sums[6] + sums[8]",
        "tokens read from a cache count",
    ),
    Mutant(
        "last-token-refused",
        "lib/budget",
        "sums[10] + tokens <= sums[5]",
        "sums[10] + tokens < sums[5]",
        "nobody is refused while there are tokens left",
    ),
    # The stop.
    Mutant(
        "refusal-not-recorded",
        "lib/budget",
        "  redis.call('HSET', K.run, REFUSED[fix], line)\n",
        "",
        "after a refusal nothing more is claimed",
    ),
    Mutant(
        "last-refusal-counts",
        "lib/budget",
        "int(math.min(amount, least or amount)) .. ' ' .. int(math.min(tokens, fewest or tokens))",
        "int(amount) .. ' ' .. int(tokens)",
        "the stop ends as soon as the cheapest refused call fits",
    ),
    Mutant(
        "stop-ends-unwoken",
        "lib/budget",
        "    wake_all()\n",
        "",
        "a waiting agent wakes when there is money again",
    ),
    Mutant(
        "stop-outlives-a-settlement",
        "lib/budget",
        "if amount and fits(amount, tokens, fix) then end_stop(fix) end",
        "",
        "a call that fits by now was refused too early",
    ),
    Mutant(
        "stop-ends-too-early",
        "lib/budget",
        "if amount and fits(amount, tokens, fix) then end_stop(fix) end",
        "end_stop(fix)",
        "the stop lasts until a refused call fits",
    ),
    Mutant(
        "stop-outlives-a-cancellation",
        "cancel",
        "reconsider()",
        "",
        "a cancelled call's money is there for others",
    ),
    Mutant(
        "stop-of-repairs-ignored",
        "lib/claiming",
        "if facts[8] or (repairs_only and not best(REPAIRS)) then",
        "if repairs_only and not best(REPAIRS) then",
        "nothing is claimed when not even a repair can be paid",
    ),
    Mutant(
        "stop-ignored",
        "lib/claiming",
        "local repairs_only = facts[7]",
        "local repairs_only = false",
        "while only the repairs' money is left, repairs are the only work",
    ),
    Mutant(
        "stop-holds-repairs-back",
        "lib/claiming",
        "(repairs_only and not best(REPAIRS))",
        "repairs_only",
        "repairs go on with the money that is kept for them",
    ),
    # Limits.
    Mutant(
        "limit-below-what-is-spent",
        "set_limit",
        "math.max(tonumber(ARGV[1]), ledger('spent') + ledger('reserved'))",
        "tonumber(ARGV[1])",
        "the limit never falls below what is spent and held",
    ),
    Mutant(
        "more-money-does-not-help",
        "set_limit",
        "if limit > old or more_tokens",
        "if more_tokens",
        "a higher limit ends the stop",
    ),
    Mutant(
        "more-tokens-do-not-help",
        "set_limit",
        "if limit > old or more_tokens or",
        "if limit > old or",
        "more tokens end the stop",
    ),
    Mutant(
        "smaller-reserve-does-not-help",
        "set_limit",
        " or tonumber(ARGV[3]) < old_reserve then",
        " then",
        "a smaller part for repairs ends the stop of the others",
    ),
    Mutant(
        "any-limit-ends-the-stop",
        "set_limit",
        "if limit > old or more_tokens or tonumber(ARGV[3]) < old_reserve then",
        "if true then",
        "a limit that is not higher leaves the stop alone",
    ),
    # A rebuilt ledger.
    Mutant(
        "spending-forgotten",
        "open",
        "if ledger(field) < least then",
        "if false then",
        "what was spent before a loss of the store stays spent",
    ),
    Mutant(
        "spending-counted-twice",
        "open",
        "int(least)) end",
        "int(ledger(field) + least)) end",
        "a store that has lost nothing charges nothing twice",
    ),
    Mutant(
        "held-money-counted-twice",
        "open",
        "tonumber(ARGV[3]) - ledger('reserved')",
        "tonumber(ARGV[3])",
        "what the ledger still holds is part of what was told",
    ),
    Mutant(
        "repeated-open-raises-sums",
        "open",
        "if ARGV[3] and tonumber(ARGV[1]) > before then",
        "if ARGV[3] then",
        "only a rising epoch raises the sums",
    ),
)
