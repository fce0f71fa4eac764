# Sourced by tools/run and tools/test: ensure .venv holds jaxalign with the extras in $1, then put it first on PATH.
# A stamp keeps what was installed, so that a changed pyproject.toml or another extra installs again.
extras=$1
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "jaxalign needs Python 3.11 or newer; $python is $("$python" --version). Set PYTHON to a newer one." >&2
  exit 1
}
if command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q GPU; then extras=$extras,cuda; fi
# Newer TPUs show as vfio devices, as other hardware does: ask for Google's PCI vendor number too.
if [ -e /dev/accel0 ] || { [ -e /dev/vfio/0 ] && grep -qs 0x1ae0 /sys/bus/pci/devices/*/vendor; }; then
  extras=$extras,tpu
fi
stamp=.venv/.jaxalign-$extras
[ -x .venv/bin/python ] || "$python" -m venv .venv
if ! cmp -s pyproject.toml "$stamp"; then
  echo "installing jaxalign[$extras] into .venv ..." >&2
  .venv/bin/pip install --quiet --disable-pip-version-check --editable ".[$extras]" >&2
  cp pyproject.toml "$stamp"
fi
export PATH=$PWD/.venv/bin:$PATH
# libtpu, there to compile plans, would look for a TPU and complain of not finding one.
case $extras in *,cuda* | *,tpu*) ;; *)
  if compgen -G ".venv/lib/python*/site-packages/libtpu" >/dev/null; then export JAX_PLATFORMS=${JAX_PLATFORMS:-cpu}; fi ;;
esac
