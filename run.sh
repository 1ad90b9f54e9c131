#!/usr/bin/env bash
# The front door: ./run.sh COMMAND [options]. Sets up what the command needs in .venv beside this file, once.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv="$here/.venv"
command=${1:-help}

say() { printf '%s\n' "$*" >&2; }

find_python() {
  local name
  for name in python3.13 python3.12 python3.11 python3 python3.14 python3.10; do
    if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  need python3 "Python 3.10 or newer"
  command -v python3
}

# need PACKAGE WHAT: install a system package as root, or say its name and stop.
need() {
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing $1 ($2)"
    apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" >&2
  else
    say "$2 is missing: install the package $1 (Debian, Ubuntu: sudo apt-get install $1), then run this again"
    exit 2
  fi
}

# offer WHAT PACKAGE...: install system packages that some tests use, or say which tests are left out.
offer() {
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing ${*:2} ($1)"
    apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${@:2}" >&2 && return
  fi
  say "not installed: ${*:2}; tests of $1 are left out"
}

# want COMMAND PACKAGE WHAT: offer the package where there is no such command.
want() {
  command -v "$1" >/dev/null || offer "$3" "$2"
}

# want_fonts: offer those that cards are drawn with.
want_fonts() {
  local packages
  read -ra packages < <(cd "$here" && "$venv/bin/python" -c 'from specimens.drawing import fonts; print(*fonts.missing_packages())')
  [ ${#packages[@]} = 0 ] || offer "cards that are drawn" "${packages[@]}"
}

# want_programs: offer those that tests start.
want_programs() {
  want chromium chromium "the report in a browser"
  want java default-jre-headless "Spark and Kafka"
  want mvn maven "Flink, Kafka, and Iceberg in Spark"
  want go golang "Prism and object stores"
}

# need_command COMMAND PACKAGE WHAT: as need, where there is no such command.
need_command() {
  command -v "$1" >/dev/null || need "$2" "$3"
}

make_venv() {
  [ -x "$venv/bin/pip" ] && return
  local python version
  python=$(find_python)
  if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    need "$version" "the venv module of $python"
  fi
  say "setting up $venv"
  "$python" -m venv "$venv"
}

# pins_of PACKAGE: its lines in constraints/base.txt.
pins_of() {
  sed -n "/^$1==/,/[^\\\\]\$/p" "$here/constraints/base.txt"
}

# install EXTRAS: the Python packages of the given extras as constraints/ pins them, each checked by its hash, and pip
# itself; unless these very pins are there. pip's own settings (PIP_INDEX_URL, PIP_NO_INDEX with PIP_FIND_LINKS) hold.
install() {
  local extra pinned missing=() pins=()
  pinned=$(cat "$here/setup.py" "$here"/constraints/*.txt | cksum | tr -d ' ')
  for extra in base ${1//,/ }; do
    pins+=(-r "$here/constraints/$extra.txt")
    [ -e "$venv/.installed-$extra-$pinned" ] || missing+=("$venv/.installed-$extra-$pinned")
  done
  [ ${#missing[@]} = 0 ] && return
  check_options
  say "installing Python packages${1:+ for $1}"
  # The pip that came with Python may be years old, and takes twice as long.
  "$venv/bin/python" -m pip install -qq --disable-pip-version-check --require-hashes -r <(pins_of pip)
  "$venv/bin/python" -m pip install -qq --disable-pip-version-check --require-hashes "${pins[@]}"
  "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable "$here"
  touch "${missing[@]}"
}

# What is installed, as a CycloneDX bill of materials in JSON on standard output; the program that writes it has an
# environment of its own, so that it does not list itself.
write_sbom() {
  local described=$venv
  venv="$here/.venv-sbom"
  make_venv
  [ -x "$venv/bin/cyclonedx-py" ] ||
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check --require-hashes -r "$here/constraints/base.txt" \
      -r "$here/constraints/sbom.txt"
  exec "$venv/bin/cyclonedx-py" environment --output-reproducible \
    --output-format JSON "$described/bin/python"
}

# Tesseract's Vietnamese data, 0.5 MB: from the system, or unpacked beside the packages without root.
install_tessdata() {
  local folder
  for folder in "${TESSDATA_PREFIX:-/nowhere}" "$venv/share/tessdata" /usr/share/tesseract-ocr/*/tessdata; do
    [ -e "$folder/vie.traineddata" ] && return
  done
  if [ "$(id -u)" != 0 ] && command -v apt-get >/dev/null; then
    folder=$(mktemp -d)
    if (cd "$folder" && apt-get download -qq tesseract-ocr-vie && dpkg -x ./*.deb .) >&2; then
      mkdir -p "$venv/share/tessdata"
      cp "$folder"/usr/share/tesseract-ocr/*/tessdata/vie.traineddata "$venv/share/tessdata/"
      rm -r "$folder"
      return
    fi
  fi
  need tesseract-ocr-vie "Tesseract's Vietnamese language data"
}

# RapidOCR asks for the OpenCV with windows, whose files are those of the one without: an environment of its own.
install_rapidocr() {
  venv="$here/.venv-peers"
  make_venv
  install endpoint,peers
  "$venv/bin/python" -c 'import rapidocr' 2>/dev/null ||
    "$venv/bin/pip" install -qq --disable-pip-version-check --no-deps "rapidocr>=3.4,<4"
}

# Beam's local runner for what has no end, built once where there is Go, to listen on loopback alone; else Beam
# downloads one that listens everywhere, and watch refuses to use it unless it is told to.
install_prism() {
  local version
  command -v go >/dev/null || return 0
  version=$("$venv/bin/python" -c 'import importlib.metadata; print(importlib.metadata.version("apache-beam"))')
  [ -x "$venv/bin/prism-$version" ] && return
  check_options
  say "building prism, Beam's local runner: some minutes, once"
  PYTHONPATH="$here" "$venv/bin/python" -m pipeline.launch.engines.build_prism "$venv/bin/prism-$version" || true
}

# is_set_up: whether the packages that every command needs are there.
is_set_up() {
  compgen -G "$venv/.installed-*" >/dev/null
}

# To tell what there is needs no package, and to tell the options of a command none but those of all.
case $command in
  help|-h|--help)
    PYTHONPATH="$here" PYTHONSAFEPATH=1 exec "$(find_python)" -m pipeline help
    ;;
esac
wants_help=
case " ${*:2} " in *" --help "*|*" -h "*) if is_set_up; then wants_help=1; fi ;; esac

# Wrong options, and help in a fresh checkout, install nothing.
is_checked=
check_options() {
  [ -n "$is_checked" ] && return
  is_checked=1
  local python
  if is_set_up; then python="$venv/bin/python"; else python=$(find_python); fi
  PYTHONPATH="$here" PYTHONSAFEPATH=1 "$python" -m pipeline.cli.before_setup "${words[@]}" || exit $?
}
words=("$@")
if ! is_set_up; then
  check_options
  case " ${*:2} " in *" --help "*|*" -h "*) exit ;; esac
fi

make_venv
case ${wants_help:-$command} in
  1) ;;
  demo) install endpoint,report,sql; install_tessdata ;;
  endpoint) install endpoint; install_tessdata ;;
  setup) install "${2:-report}"; exit ;;
  sbom) write_sbom ;;
  sql) install sql ;;
  replay)
    case " $* " in *" --transcode"*) install heic,report ;; *) install report ;; esac
    ;;
  backfill|report) install report ;;
  watch)
    case " $* " in *" --notifications"*) install kafka,report ;; *) install report ;; esac
    case " $* " in *" --runner"*|*" --prism_location"*) ;; *) install_prism ;; esac
    ;;
  publish) case " $* " in *" --catalog"*) install iceberg ;; *) install "" ;; esac ;;
  test) install endpoint,heic,iceberg,kafka,otel,report,sql,test; install_tessdata; want_fonts ;;
  check)
    check_options
    want_programs &  # beside pip, which is busy on one core
    install browser,check,dev,endpoint,heic,iceberg,kafka,otel,report,spark,sql,test
    wait
    install_tessdata
    want_fonts
    ;;
  bench)
    if [ "${2:-}" = reading ]; then
      case " $* " in *rapidocr*) install_rapidocr ;; *) install endpoint ;; esac
      install_tessdata
    elif [[ " cluster flink runners " = *" ${2:-} "* ]]; then
      install report,sql,test
      need_command java default-jre-headless "Flink"
      need_command mvn maven "Flink"
      need_command go golang "Prism, and what starts a cluster's workers"
    elif [ "${2:-}" = throughput ]; then
      install bench,report,sql,test
    else
      install endpoint,report,sql,test
    fi
    ;;
  *) install "" ;;
esac

# One heap for all threads and for Arrow: what one stage has given back is there for the next.
export MALLOC_ARENA_MAX=${MALLOC_ARENA_MAX:-1} ARROW_DEFAULT_MEMORY_POOL=${ARROW_DEFAULT_MEMORY_POOL:-system}
export PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}" PYTHONSAFEPATH=1 OMP_THREAD_LIMIT=1
python="$venv/bin/python"
case $command in
  test)
    cd "$here"
    exec "$python" -m pytest "${@:2}"
    ;;
  check)
    cd "$here"
    "$venv/bin/ruff" check .
    "$venv/bin/ruff" format --check .
    "$venv/bin/mypy"
    "$venv/bin/lint-imports"
    NO_MKDOCS_2_WARNING=1 "$python" -m mkdocs build --strict --quiet
    exec "$python" -m pytest "${@:2}"
    ;;
  bench) exec "$python" -m benchmarks "${@:2}" ;;
  *) exec "$python" -m pipeline "$@" ;;
esac
