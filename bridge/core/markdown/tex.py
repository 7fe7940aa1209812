r"""Translates TeX formulas into plain text: `x^2 \leq \frac{1}{2}` becomes "x² ≤ 1/2".

Teams' Markdown shows no math (docs/reference/teams.md, "What Teams shows of Markdown"). A formula with any unknown
command stays TeX as a whole: half a translation would be neither TeX nor text.
"""

from __future__ import annotations

import re

_TABLE = """
alpha α beta β gamma γ delta δ epsilon ε varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ lambda λ mu μ nu ν
xi ξ pi π rho ρ sigma σ tau τ upsilon υ phi φ varphi φ chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π
Sigma Σ Phi Φ Psi Ψ Omega Ω times × cdot · div ÷ pm ± mp ∓ leq ≤ le ≤ geq ≥ ge ≥ neq ≠ ne ≠ approx ≈ equiv ≡ sim ∼
propto ∝ infty ∞ sum ∑ prod ∏ int ∫ partial ∂ nabla ∇ in ∈ notin ∉ subset ⊂ subseteq ⊆ cup ∪ cap ∩ emptyset ∅ forall ∀
exists ∃ neg ¬ land ∧ lor ∨ to → rightarrow → leftarrow ← mapsto ↦ Rightarrow ⇒ implies ⇒ Leftrightarrow ⇔ iff ⇔ ldots …
dots … cdots … langle ⟨ rangle ⟩ circ ∘ degree ° perp ⊥ parallel ∥ mid ∣ ell ℓ ll ≪ gg ≫ oplus ⊕ otimes ⊗ ast ∗
sin sin cos cos tan tan log log ln ln exp exp lim lim max max min min sup sup inf inf det det dim dim gcd gcd mod mod
"""
_COMMANDS = dict(zip(_TABLE.split()[::2], _TABLE.split()[1::2], strict=True))
_COMMANDS |= {"left": "", "right": "", "quad": "  ", "qquad": "    ", "displaystyle": ""}
_DOUBLE = dict(zip("RNZQCPE", "ℝℕℤℚℂℙ𝔼", strict=True))
_RAISED = str.maketrans("0123456789+-=()niabcdefghjkmoprstuvwxyzT", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱᵃᵇᶜᵈᵉᶠᵍʰʲᵏᵐᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀ")
_LOWERED = str.maketrans("0123456789+-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")

_SPACES = re.compile(r"\\[,;:! ]|~")
_WORDS = re.compile(r"\\(?:text|mathrm|mathbf|mathit|mathsf|operatorname|boldsymbol)\{([^{}]*)\}")
_BLACKBOARD = re.compile(r"\\mathbb\{?([RNZQCPE])\}?")
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}")
_ROOT = re.compile(r"\\sqrt\{([^{}]*)\}")
_SCRIPT = re.compile(r"([\^_])(?:\{([^{}]*)\}|(\w))")
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_LINE_END = re.compile(r"(?<! ) *+\\\\ *\n?")
_LEVELS = 6  # of nested fractions, roots and exponents


def readable(tex: str) -> str:
    """Return `tex` as plain characters, or unchanged if a part cannot be translated."""
    text = _LINE_END.sub("\n", tex).strip()
    text = _BLACKBOARD.sub(lambda found: _DOUBLE[found[1]], _SPACES.sub(" ", text))
    text = text.replace(r"\{", "❴").replace(r"\}", "❵").replace(r"\%", "%").replace(r"\$", "$").replace(r"\_", "＿")
    text = _COMMAND.sub(
        lambda found: found[0] if found[1] not in _COMMANDS else _COMMANDS[found[1]], _WORDS.sub(r"\1", text)
    )
    for _ in range(_LEVELS):
        before = text
        text = _FRACTION.sub(lambda found: f"{_grouped(found[1])}/{_grouped(found[2])}", text)
        text = _ROOT.sub(lambda found: f"√{_grouped(found[1])}", text)
        text = _SCRIPT.sub(_script, text)
        if text == before:
            break
    if re.search(r"[\\{}]", text):
        return tex.strip()
    return text.replace("❴", "{").replace("❵", "}").replace("＿", "_").strip() or tex.strip()


def _grouped(part: str) -> str:
    part = part.strip()
    return part if re.fullmatch(r"[\d.]*|\w", part) else f"({part})"


def _script(found: re.Match[str]) -> str:
    sign, part = found[1], (found[2] if found[3] is None else found[3])
    table = _RAISED if sign == "^" else _LOWERED
    if all(ord(char) in table for char in part):
        return part.translate(table)
    return f"{sign}{part}" if len(part) == 1 else f"{sign}({part})"
