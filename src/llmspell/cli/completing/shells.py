"""The shells' halves: each asks `llmspell __complete` with the words so far, and shows what it is told."""

from __future__ import annotations

__all__ = ["SCRIPTS"]

# The program that is asked is the one that was typed, so that one outside the search path completes, too; but not one
# of another name, such as an alias: nobody knows what that would run.
_BASH = r"""# llmspell: completion for bash. In ~/.bashrc: eval "$(llmspell completions bash)"
_llmspell() {
    local program="${1/#\~/$HOME}" head line
    [[ "${program##*/}" == llmspell ]] || program=llmspell
    COMPREPLY=()
    {
        IFS= read -r head || return 0
        while IFS= read -r line; do
            COMPREPLY+=("$line")
        done
    } < <("$program" __complete bash "${COMP_LINE:0:$COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
    [[ "$head" != files* ]] || compopt -o filenames 2>/dev/null
    [[ "$head" != *on ]] || compopt -o nospace 2>/dev/null
    return 0
}
complete -F _llmspell llmspell
"""

_ZSH = r"""#compdef llmspell
# llmspell: completion for zsh. In ~/.zshrc, after compinit: eval "$(llmspell completions zsh)"
_llmspell() {
    local program="${words[1]/#\~/$HOME}" line word about shown
    [[ "${program:t}" == llmspell ]] || program=llmspell
    local -a told names final open final_shown open_shown how list
    told=("${(@f)$("$program" __complete zsh "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    names=("${(@)told%%$'\t'*}")
    local -i width=0
    for word in "${names[@]}"; do
        (( $#word > width )) && width=$#word
    done
    for line in "${told[@]}"; do
        [[ -n "$line" ]] || continue
        word="${${line%%$'\t'*}#?}" about="${line#*$'\t'}" shown="$word"
        if [[ -n "$about" ]]; then
            list=(-l)
            shown="${(r:width:)word} -- $about"
            shown="${shown[1,COLUMNS-1]}"
        fi
        # A home's sign must stay one, outside quotes.
        [[ -n "$compstate[quote]" ]] || word="${${(q)word}/#\\\~/~}"
        if [[ "$line" == +* ]]; then
            open+=("$word") open_shown+=("$shown")
        else
            final+=("$word") final_shown+=("$shown")
        fi
    done
    [[ -n "$compstate[quote]" ]] || how=(-Q)
    (( $#final )) && compadd "${how[@]}" "${list[@]}" -d final_shown -a final
    (( $#open )) && compadd "${how[@]}" "${list[@]}" -S '' -d open_shown -a open
    (( $#final + $#open ))
}
if [[ "$funcstack[1]" == _llmspell ]]; then
    _llmspell "$@"
else
    compdef _llmspell llmspell
fi
"""

_FISH = r"""# llmspell: completion for fish. llmspell completions fish > ~/.config/fish/completions/llmspell.fish
function __llmspell_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program (string replace -r '^~(?=/)' $HOME -- $words[1])
    if test (string replace -r '.*/' '' -- $program) != llmspell
        set program llmspell
    end
    $program __complete fish $words "$current" 2>/dev/null
end
complete -c llmspell -f -a '(__llmspell_complete)'
"""

_POWERSHELL = r"""# llmspell: completion for PowerShell. In $PROFILE:
#   llmspell completions powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName llmspell -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements |
        Where-Object { $_.Extent.StartOffset -lt $cursorPosition } |
        ForEach-Object {
            if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { ":$($_.Value)" }
            else { ":$($_.Extent.Text)" }
        })
    if ($wordToComplete -eq '') { $words += ':' }
    & llmspell __complete powershell @words 2>$null | ForEach-Object {
        $word, $about = $_ -split "`t", 2
        $text = $word
        if ($word -match '[^\w./\\:~+=-]') {
            $inner = [System.Management.Automation.Language.CodeGeneration]::EscapeSingleQuotedStringContent($word)
            $text = "'$inner'"
        }
        if (-not $about) { $about = $word }
        [System.Management.Automation.CompletionResult]::new($text, $word, 'ParameterValue', $about)
    }
}
"""

#: By the shell's name.
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH, "powershell": _POWERSHELL}
