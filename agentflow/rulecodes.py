"""The codes of what is wrong between the parts of a graph, which the rules of `check` find, each with its story."""

from __future__ import annotations

from agentflow.diagnostics import Explanation

RULE_CODES = {
    "missing-extra": Explanation(
        "A model's client is not installed.",
        """
gemini-* is asked with what agentflow brings along. claude-* takes the package anthropic, and provider/model, like any
name with a base_url of a server of its own, takes litellm. Both are optional:

    pip install "agentflow[claude]"
    pip install "agentflow[litellm]"
""",
    ),
    "missing-price": Explanation(
        "A limit on cost counts a model that has no price.",
        """
limits.cost is counted from the tokens that a provider reports and the price of the model's entry, per million tokens,
in any currency. Each model that the limit reaches needs one: of the graph all of them, of an agent its own and those of
the agents that it calls as tools.

    models:
      default: {model: gemini-2.5-flash, price: {input: 0.3, output: 2.5}}
    limits: {cost: 0.5}
""",
    ),
    "unsupported-setting": Explanation(
        "A model has no such setting.",
        """
What the provider does not take would be left out in silence. Claude has no seed, and takes no temperature, top_p or
top_k while it thinks (thinking_budget).
""",
    ),
    "template-syntax": Explanation(
        "A template or an expression cannot be read.",
        """
A text is a template with {{ }}, {% if %} and {% for %}; an expression (when, switch) is the same language without
braces. What is wrong is shown at its place: a bracket or a block that is not closed, a word too many, an expression
with braces around it.

    prompt: "Pay {{ decide.amount }"       # wrong: the braces are not closed
    when: "{{ decide.ok }}"                # wrong: an expression has no braces
    when: decide.ok
""",
    ),
    "not-allowed-in-template": Explanation(
        "A template does something that is left to tools.",
        """
Templates look things up and put them together: no calls, no **, no mappings, no names that begin with _, no
{% set %} and no macros. What takes more is computed by a tool, or written in YAML around the template.

    prompt: "{{ items.count() }}"          # wrong
    prompt: "{{ items | length }}"
""",
    ),
    "unknown-filter": Explanation(
        "There is no filter of that name.",
        """
Filters are pure functions of the language: default, required, length, join, list, sort, select, reject, selectattr,
map, first, last, unique, round, upper, lower, trim, replace, tojson and some more. None of them is random, reads a
clock or calls anything, so that a replayed run computes the same.
""",
    ),
    "unknown-test": Explanation(
        "There is no test of that name.",
        """
After `is` stands a test: skipped, failed, none, defined, in, even, odd, divisibleby, string, number, boolean and a
few more. `x is skipped` and `x is failed` are asked of a node, by its name.
""",
    ),
    "filter-arguments": Explanation(
        "A filter or a test is not used so.",
        """
It takes other arguments, or fewer; `map` and `select` take the name of a filter or a test in quotes.

    {{ names | join(", ", "and") }}        # wrong: one separator
    {{ names | map(upper) }}               # wrong
    {{ names | map("upper") | join(", ") }}
""",
    ),
    "template-too-complex": Explanation(
        "A template is nested too deep, or too long.",
        """
Brackets nest at most 32 deep and expressions 100, and one template has at most 20,000 words and signs. Compute
such a thing in a tool, or in several `value` nodes.
""",
    ),
    "unknown-name": Explanation(
        "A name that is used is not in scope.",
        """
In scope are input, run, and the nodes of this and the enclosing scopes. What is inside a group, a branch or a case
is not seen from outside but through the value of the whole; branches and cases do not see each other. An agent or a
tool is no node: refer to the node that uses it. error is known in on_error and compensate, args and result in
compensate, approver, link and message in notify.

    review: {agent: medical, prompt: "..."}
    decide: {agent: adjuster, prompt: "{{ medical.reason }}"}     # wrong: that is the agent
    decide: {agent: adjuster, prompt: "{{ review.reason }}"}
""",
    ),
    "hidden-name": Explanation(
        "A name inside hides a name outside.",
        """
A node in a group, and the name that a {% for %} binds, may not be called like something that is seen there anyway:
each name has one meaning wherever it is seen.

    {% for decide in items %}              # wrong, where there is a node decide
    {% for item in items %}
""",
    ),
    "wrong-start": Explanation(
        "What a loop starts with is not like what its rounds yield.",
        """
The first round sees it as previous, where all others see the value of the round before: both are used by the same
templates, and so must have the same fields.

    loop: {sum: {value: "{{ previous.total + index }}"}}
    start: {sum: 0}                        # wrong, rounds yield total
    output: {total: "{{ sum }}"}
""",
    ),
    "constant-until": Explanation(
        "The condition of a loop cannot change from one round to the next.",
        """
It is asked after each round, and ends the loop when it holds. One that depends on nothing in the loop ends it after
the first round, or never. Refer to a node of the loop, to index, or to previous.

    until: input.done                      # wrong
    until: critic.content
""",
    ),
    "unheeded-gate": Explanation(
        "An approval, a question or a guard stops nothing: what it is there for does not wait for it.",
        """
Nodes with no path between them run at the same time. An approval that no node waits for is asked while everything else
happens; a fail with a condition ends the run when the rest may be done already. Let what it is to stop wait for it, by
needs, or by referring to it.

    guard: {fail: out of stock, when: not stock.ok}
    ship:  {tool: ship, with: {order: "{{ input.order }}"}}                    # wrong: ships beside the guard
    ship:  {tool: ship, with: {order: "{{ input.order }}"}, needs: [guard]}
""",
    ),
    "write-beside-approval": Explanation(
        "Something is changed while an approval in the same place is still being asked.",
        """
Some nodes wait for the approval, this one does not. If it belongs to what is to be approved, let it wait too; if it is
to happen in any case, let the approval wait for it, so that the order is in the file.

    book:   {tool: book}                       # may have happened when it is rejected
    book:   {tool: book, needs: [sign_off]}
""",
    ),
    "approved-by-time": Explanation(
        "A dangerous tool runs when nobody has answered.",
        """
With on_timeout: approve an approval that expires counts as given. That is for what does little harm: nothing dangerous
may happen because nobody looked. Let the approval be rejected or fail in the end, and escalate before.

    sign_off: {approval: Pay?, approvers: [claims], timeout: 1d, on_timeout: approve}      # wrong before a payment
    sign_off: {approval: Pay?, approvers: [claims], timeout: 1d, on_timeout: reject}
""",
    ),
    "loser-not-undone": Explanation(
        "A branch that loses a race leaves something behind.",
        """
With join: any, first, or a number of branches, those that are not waited for are cancelled, and what they did is undone
by its compensations. A tool without one leaves what it did. For a dangerous tool that is an error.

    book: {python: "tools.desk:book"}                                                     # wrong in a race
    book: {python: "tools.desk:book", compensate: {tool: cancel, with: {id: "{{ result.id }}"}}}
""",
    ),
    "retry-without-key": Explanation(
        "A tool that changes something is called again when it fails, and cannot tell.",
        """
A try that fails may have taken effect: the answer was lost, the connection broke. A function that takes idempotency_key
gets the same one in every try and can hand it on, so that the other side does it once.

    def charge(amount: float) -> Receipt: ...     # with a retry: may charge twice
    def charge(amount: float, idempotency_key: str) -> Receipt: ...
""",
    ),
    "self-reference": Explanation(
        "A node refers to itself, or waits for itself.",
        """
A node's name is its value, which is there when the node is done; nothing in the node, nor in what is inside it, can
wait for that.
""",
    ),
    "cycle": Explanation(
        "Nodes wait for each other in a circle.",
        """
A node waits for every node that it refers to, in any field, `when` included, for those in its `needs`, and in
`steps` for the one before it. Where that leads back to its start, none of them can ever begin. The whole circle is
shown, the earliest node of the file first. One of them must do without another's value.
""",
    ),
    "unreachable-node": Explanation(
        "A node can never run.",
        """
It waits for a `fail` that has no condition, and so always ends the run before the node's turn comes. Give the
`fail` a `when`, or take the node out.
""",
    ),
    "unreachable-agent": Explanation(
        "Nothing leads to an agent.",
        """
No node names it, and no agent that is used has it among its tools or handoffs. Most often a name was changed in one
place only.
""",
    ),
    "unknown-field": Explanation(
        "A value has no such field.",
        """
Types are followed from input, types, returns, the signatures of tools and the forms of approvals to every template.
A field that the type does not have is a mistake; of `any` nothing is known, so that it is not followed.

    agents: {medical: {returns: {ok: boolean, reason: string}, ...}}
    prompt: "{{ review.reasons }}"         # wrong: did you mean "reason"?
""",
    ),
    "maybe-null": Explanation(
        "A value that may be null is used as if it were there.",
        """
A node that `when` may skip, one whose failure is continued, and a value of type `T | null` may be null. Its fields,
its text and calculations with it need a proof that it is there: a `default`, `required`, `x and x.y`,
`x.y if x else z`, {% if x %}, `select`, the node's own `when` or one around it, a case, or an earlier `fail` with
the opposite condition that this node waits for. Comparing it, asking whether it is true, and handing it whole to
where null is allowed need nothing.

    payment: {tool: pay, when: decide.ok}
    receipt: "{{ payment.id }}"            # wrong: skipped unless decide.ok
    receipt: "{{ payment.id | default(none) }}"
""",
    ),
    "impossible-comparison": Explanation(
        "A comparison can never hold.",
        """
The two sides have no value in common: a word that the enumeration does not have, a text and a number.

    returns: {decision: pay | reject}
    when: decide.decision == "paid"        # wrong: it is pay or reject
""",
    ),
    "wrong-operand": Explanation(
        "An operator or a loop is given what it cannot take.",
        """
+ - * / // % calculate with numbers, + also joins lists, ~ joins texts; {% for %} goes through a list, an element is
taken out of one.

    {{ "Dear " + input.holder }}           # wrong
    {{ "Dear " ~ input.holder }}
""",
    ),
    "not-a-node": Explanation(
        "Only a node can be skipped or fail.",
        """
`x is skipped` and `x is failed` are asked of a node of this or an enclosing scope, by its name.
""",
    ),
    "wrong-replacement": Explanation(
        "What takes a failed node's place has another type.",
        """
The value of `on_error: {use: ...}`, and that of the node of `on_error: {run: ...}`, stand for the node's own value
wherever it is used, so they fit its type, or are null.
""",
    ),
    "incomplete-switch": Explanation(
        "A switch has no case for every value.",
        """
Over an enumeration or a boolean there is a case for each value, or a default; over texts and numbers, which cannot
be listed, there is a default; and null has a default too.

    switch: triage.kind                    # billing | technical | other
    cases: {billing: {...}, technical: {...}}
    default: {...}
""",
    ),
    "unknown-case": Explanation(
        "A switch has a case that can never be chosen.",
        """
Its value is not among those that the subject can have: a misspelt word, or a word where the subject is true or
false.
""",
    ),
    "unguarded-tool": Explanation(
        "A dangerous tool can run without anyone's approval.",
        """
A node that calls a dangerous tool waits, itself or through others, for an approval. Either that approval ends the
run unless approved (on_reject: fail, and no on_error), or the node's `when` proves `x.approved or x is skipped`.
An approval's own `when` is the author's policy: where it is skipped, no approval was needed. The proof goes through
all cases, and the message shows one in which the tool would run.

    sign_off: {approval: "Pay?", approvers: [claims], on_reject: continue}
    payment: {tool: pay, needs: [sign_off]}                               # wrong
    payment: {tool: pay, when: sign_off is skipped or sign_off.approved}
""",
    ),
    "workflow-only": Explanation(
        "This is possible in a workflow only.",
        """
Messages are sent to a run by its key, and only the runs of a workflow have one. A graph of another kind that is to
wait for something from outside is made a workflow, or calls one (graph: NAME).
""",
    ),
    "unknown-graph": Explanation(
        "There is no graph of that name in the project.",
        """
`graph: NAME` calls the graph in NAME.yaml, which lies beside the caller or in the project's folder graphs/, and says
`graph: NAME` itself. What another project serves, or is no graph, is called as `service: "Name/handler"`.
""",
    ),
    "invalid-graph": Explanation(
        "A graph that is called has mistakes of its own.",
        """
What it takes and gives cannot be made out, and so its call cannot be checked. `agentflow check` on its file tells
what is wrong there.
""",
    ),
    "bad-service": Explanation(
        "A handler elsewhere is written Service/handler.",
        """
The name of a Restate service, object or workflow, a slash, and the name of one of its handlers: `Scoring/rate`, for
a graph of another project `fraud/run`.
""",
    ),
    "event-of-two-types": Explanation(
        "Two nodes wait for the same message, with different types.",
        """
A message is checked when it comes, before it is known which node will take it. So `returns` says the same wherever
its name is waited for; name the type once, in `types`.

    first: {event: payment, returns: {amount: number}}
    second: {event: payment}                            # wrong: of any type
    second: {event: payment, returns: {amount: number}}
""",
    ),
    "dangerous-tool-in-agent": Explanation(
        "An agent holds a dangerous tool.",
        """
An agent decides by itself when it calls a tool. It may hold a dangerous one only where the tool itself asks, with
`confirm`. Or let the agent propose, and call the tool in a node behind an approval.

    pay:
      python: "tools.desk:pay"
      effect: dangerous
      confirm: {message: "Pay {{ args.amount }}?", approvers: [claims]}
""",
    ),
    "unordered-conversation": Explanation(
        "Nodes that share a conversation may run at the same time.",
        """
A conversation has one speaker at a time, or nobody could say what was said first. Nodes with the same
`conversation` wait for each other, or exclude each other by their conditions or as cases of a switch.

    ask:   {agent: helper, prompt: "...", conversation: talk}
    again: {agent: helper, prompt: "...", conversation: talk}                 # wrong
    again: {agent: helper, prompt: "...", conversation: talk, needs: [ask]}
""",
    ),
    "unheard-session": Explanation(
        "An object declares a session, and no agent speaks in it.",
        """
An object without nodes is its agent, whose conversation is the session. With nodes, the agent nodes that carry it
on join it.

    answer: {agent: helper, prompt: "{{ input.text }}", conversation: session}
""",
    ),
    "unknown-state": Explanation(
        "A graph sets something that its state does not have.",
        """
An object's state is declared with its types, as the input is.

    kind: object
    state: {language: {type: string, default: English}}
    nodes: {choose: {set: {language: "{{ input.language }}"}}}
""",
    ),
    "unmeetable-join": Explanation(
        "More branches must succeed than ever can.",
        """
A branch that always fails, because it is a `fail` without a condition or holds one, never counts. So `any` of such
branches, or a number that the others do not make up, ends in failure whatever happens.

    parallel:
      a: {tool: look_up}
      b: {fail: "not there"}
    join: 2                       # wrong: only a can succeed
""",
    ),
    "handoff-misfit": Explanation(
        "An agent that is handed a conversation answers something that does not fit the node.",
        """
Whoever answers must fit the type of the node that began, and is asked for that type: what its own `returns` says
counts only where it is asked itself. So no run fails of it, and this is a warning. But an agent that is meant to answer
something else, and is instructed so, is a dead end for the conversation.

    agents:
      desk: {instruction: ..., handoffs: [billing], returns: {answer: string}}
      billing: {instruction: ..., returns: {refund: number}}                       # wrong
      billing: {instruction: ..., returns: {answer: string}}
""",
    ),
    "never-true": Explanation(
        "A node has a condition that can never be true.",
        """
The node is always skipped, and its value is always null. Mostly the condition repeats, the wrong way round, what the
nodes before it have settled. A step that is not wanted any more is better taken out.

    stop: {fail: "too much", when: input.amount > 100}
    extra: {value: 1, when: input.amount > 500, needs: [stop]}      # never
""",
    ),
    "unreachable-on-error": Explanation(
        "What on_error guards is tried again for ever, so that it is never reached.",
        """
A tool that fails is tried again, and without `attempts` or `within` in a retry there is no last time: a few tries, then
the engine backs off, and in the end pauses the run until a person mends what is wrong. A failure that is for good is
one that the function says is: agentflow.ToolError, or restate.TerminalError. Where it raises neither, and the node has
no timeout, nothing ever gets to its on_error. So it is with a command, whose exit code is tried again too.

    rate: {tool: look_up, with: {...}, on_error: {use: 1.0}}                            # never 1.0
    rate: {tool: look_up, with: {...}, retry: {attempts: 3}, on_error: {use: 1.0}}
    rate: {tool: look_up, with: {...}, timeout: 1m, on_error: {use: 1.0}}
""",
    ),
}
