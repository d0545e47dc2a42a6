# Runs a story with the real terraform on the built-in emulator. Each story's run script sources this file and consists of
# steps: `run` a command, `expect` its exit code, and check that its output `shows` a pattern.
#
#   examples/stories/STORY/run                      builds the provider first
#   AZIMAGE_BINARY=… examples/stories/STORY/run     uses that binary
#   AZIMAGE_TERRAFORM_VERSION=1.15.5 …              with that release of Terraform

here=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'; else bold='' dim='' green='' red='' plain=''; fi
step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
pass() { printf '%s  ✓ %s%s\n' "$green" "$*" "$plain"; }
fail() {
    printf '%s  ✗ %s%s\n' "$red" "$*" "$plain"
    exit 1
}

binary=${AZIMAGE_BINARY:-}
if [ -z "$binary" ]; then
    step "Building the provider (a few minutes, once)"
    quiet=--quiet
    [ ! -t 2 ] || quiet=
    (cd "$root" && cargo build --release $quiet)
    binary=${CARGO_TARGET_DIR:-$root/target}/release/terraform-provider-azimage
fi
[ -x "$binary" ] || fail "there is no provider binary at $binary"
terraform=$("$root/.ci/terraform" ${AZIMAGE_TERRAFORM_VERSION:-})

# A new folder for each run, so that a story can be run any number of times.
work=$(mktemp -d "${TMPDIR:-/tmp}/azimage.XXXXXX")
trap 'rm -rf "$work"' EXIT
cp "$here"/*.tf "$work"
ln -s "$(cd "$(dirname "$binary")" && pwd)/$(basename "$binary")" "$work/terraform-provider-azimage"
cat >"$work/cli.tfrc" <<RC
provider_installation {
  dev_overrides {
    "azimage/azimage" = "$work"
  }
  direct {}
}
RC
export TF_CLI_CONFIG_FILE=$work/cli.tfrc CHECKPOINT_DISABLE=1 TF_IN_AUTOMATION=1
cd "$work"
log=$work/log

# run WHAT ARGUMENTS…: terraform, prints its main lines dimmed, keeps all output in $log and the exit code in $code.
run() {
    printf '%s  $ terraform %s%s\n' "$dim" "$*" "$plain"
    code=0
    "$terraform" "$@" -no-color >"$log" 2>&1 || code=$?
    sed -nE "s/ \\[id=.*//; /^(Plan:|Apply complete|Destroy complete|No changes|Success)|^  # .* (will|must) be |: (Creation|Modifications|Destruction) complete|Error: /{ s/^ *(# )?/$dim    /; s/\$/$plain/; p; }" "$log"
}
expect() { # CODE SENTENCE
    [ "$code" = "$1" ] || { cat "$log"; fail "$2 (terraform ended with $code, expected $1)"; }
    pass "$2"
}
shows() { # PATTERN SENTENCE
    grep -qE -- "$1" "$log" || { cat "$log"; fail "$2 (nothing above matches “$1”)"; }
    pass "$2"
}
finish() { printf '\n%s%sEvery step went as expected.%s\n' "$bold" "$green" "$plain"; }
emulator() { "$binary" emulator --state .azimage/emulator.json "$@"; }
# Skips a story that needs Terraform 1.8 or OpenTofu 1.7.
needs_functions() {
    case $("$terraform" version | head -n 1) in
    "Terraform v1."[0-7].* | "OpenTofu v1."[0-6].*)
        echo "SKIPPED: provider functions need Terraform 1.8 or OpenTofu 1.7"
        exit 0
        ;;
    esac
}
