"""The packages of a home: listed, published whole, promoted, removed."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from ..errors import PackageRefused
from ..settings import Settings
from .aliases import PREVIOUS, PRODUCTION, previous_version, read_aliases, write_aliases
from .alone import alone
from .durable import rename_to_new, sync_directory, write_durably
from .folders import decided, directories
from .life import Canary, Life, read_life, write_life
from .manifest import Manifest
from .names import MANIFEST_FILE, SIGNATURE_FILE, is_plain, version_order
from .signing import create_signing_key, read_signing_key, read_verifying_key, sign
from .verification import VerifiedPackage, stamp_package, verify_package


class Store:
    """The directory ``home/models`` together with the keys that sign and verify what is in it; no I/O until used."""

    def __init__(self, models_directory: Path, keys_directory: Path) -> None:
        self.models_directory = models_directory
        self.keys_directory = keys_directory

    @classmethod
    def of(cls, settings: Settings) -> Store:
        return cls(settings.models_directory, settings.keys_directory)

    def names(self) -> list[str]:
        """Names of the models that have at least one version, sorted."""
        return [name for name in directories(self.models_directory) if self.versions(name)]

    def versions(self, name: str) -> list[str]:
        """Versions of ``name``, oldest first; what cannot be a version is left out."""
        return sorted(directories(self.models_directory / name), key=version_order) if is_plain(name) else []

    def next_version(self, name: str) -> str:
        """One above the highest version that is a whole number; ``1`` for a new model."""
        return str(max((int(version) for version in self.versions(name) if version.isdigit()), default=0) + 1)

    def verify(self, name: str, version: str) -> VerifiedPackage:
        """The package, verified; raises PackageRefused, or KeyFileError when there is no key to verify with."""
        return verify_package(self.models_directory, name, version, read_verifying_key(self.keys_directory))

    def stamp(self, name: str, version: str) -> object:
        """Another value whenever ``verify`` may find something else; None when there is no telling.

        Raises KeyFileError as ``verify`` does.
        """
        stamp = stamp_package(self.models_directory, name, version)
        return stamp and (read_verifying_key(self.keys_directory).public_bytes_raw(), stamp)

    def publish(self, manifest: Manifest, files: Mapping[str, bytes]) -> VerifiedPackage:
        """Sign ``manifest`` and put the package in place in one step; raises PackageRefused when the version exists.

        The signing key is made when the home has none yet. What is returned was read back from the disk and verified.
        """
        create_signing_key(self.keys_directory)
        manifest_bytes = manifest.to_json()
        signature = sign(read_signing_key(self.keys_directory), manifest_bytes)
        parent = self.models_directory / manifest.name
        for directory in (self.models_directory, parent):  # mkdir leaves the mode of parents to the umask
            directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        # The dot keeps a half-written package, left by a crash, from ever being taken for a version.
        staged = Path(tempfile.mkdtemp(prefix=f".{manifest.version}-", dir=parent))
        try:
            for file, data in {**files, MANIFEST_FILE: manifest_bytes, SIGNATURE_FILE: signature}.items():
                write_durably(staged / file, data)
            staged.chmod(0o755)
            sync_directory(staged)
            rename_to_new(staged, parent / manifest.version)
            sync_directory(parent)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        return self.verify(manifest.name, manifest.version)

    def aliases(self, name: str) -> dict[str, str]:
        return read_aliases(self.models_directory / name)

    def life(self, name: str) -> Life:
        return read_life(self.models_directory / name)

    def unload(self, name: str) -> None:
        """Let ``name`` not serve until ``load``; raises PackageRefused when there is no such model."""
        self._live_on(name, unloaded=True)

    def load(self, name: str) -> None:
        """Let ``name`` serve; raises PackageRefused when there is no such model."""
        self._live_on(name, unloaded=False)

    def set_canary(self, name: str, canary: Canary | None) -> None:
        """Let a version that verifies answer a part of the callers, on a new trial; None ends that.

        Raises PackageRefused.
        """
        if canary is not None:
            self.verify(name, canary.version)
            canary = canary.model_copy(update={"trial": secrets.token_hex(8)})
        self._live_on(name, canary=canary)

    def end_trial(self, name: str, trial: str) -> bool:
        """Let ``name`` have no canary if it is still on this ``trial``; whether it was, which one caller is told.

        Raises PackageRefused or OSError.
        """
        with alone(self.models_directory / name):
            life = self.life(name)
            if life.canary is None or life.canary.trial != trial:
                return False
            write_life(self.models_directory / name, life.model_copy(update={"canary": None}))
            return True

    def set_shadow(self, name: str, version: str | None) -> None:
        """Let a version that verifies answer beside the one that serves, unheard; None ends that.

        Raises PackageRefused.
        """
        if version is not None:
            self.verify(name, version)
        self._live_on(name, shadow=version)

    def _live_on(self, name: str, **changes: object) -> None:
        with self._deciding(name):
            life = self.life(name)
            changed = life.model_copy(update=changes)
            if changed != life:
                write_life(self.models_directory / name, changed)

    @contextmanager
    def _deciding(self, name: str, version: str | None = None) -> Iterator[None]:
        """Nobody else decides about ``name`` meanwhile, so that nothing is lost of two who do at once.

        Who is in here does not come in again. Raises PackageRefused without such a model, or without ``version``.
        """
        self._require(name, version)
        with ExitStack() as others_wait:
            with suppress(FileNotFoundError):  # said below
                others_wait.enter_context(alone(self.models_directory / name))
            self._require(name, version)  # it may have been removed while others decided
            yield

    def _require(self, name: str, version: str | None) -> None:
        versions = self.versions(name)
        if version is None and not versions:
            raise PackageRefused(f"{name}: there is no such model")
        if version is not None and version not in versions:
            raise PackageRefused(f"{name}/{version}: there is no such package")

    def fingerprint(self) -> object:
        """Another value whenever a version came, went or was touched, or something was decided about a model."""
        # Touched: one that is copied here file by file is refused until it is whole.
        stamped = partial(stamp_package, self.models_directory)
        return tuple(
            (name, tuple((version, stamped(name, version)) for version in self.versions(name)), decided(parent))
            for name in self.names()
            for parent in (self.models_directory / name,)
        )

    def promote(self, name: str, version: str) -> dict[str, str]:
        """Make ``version`` the one that serves, once it verifies; the aliases as they are then.

        As a canary or a shadow it has done its work.
        """
        self.verify(name, version)  # which may take longer than others wait for who decides
        with self._deciding(name, version):
            aliases = self.aliases(name)
            serving = aliases.get(PRODUCTION) or self.versions(name)[-1]
            if serving != version:
                aliases[PREVIOUS] = serving
            return self._serve(name, version, aliases)

    def set_alias(self, name: str, alias: str, version: str | None) -> dict[str, str]:
        """Let callers ask for ``version``, once it verifies, by the name ``alias``; None ends that. All aliases then.

        Raises PackageRefused for what ``promote`` and ``rollback`` decide, and for what names a version or may once.
        """
        if alias in (PRODUCTION, PREVIOUS):
            raise PackageRefused(f"{alias!r} is what `models promote` and `models rollback` decide; use those")
        if not is_plain(alias):
            raise PackageRefused(f"{alias!r} cannot be an alias; use up to 64 of a-z, 0-9, '.', '_' and '-'")
        if alias.isdigit() or alias in self.versions(name):
            raise PackageRefused(f"{alias!r} is or may become a version, which goes before an alias; use a word")
        if version is not None:
            self.verify(name, version)
        with self._deciding(name, version):
            aliases = self.aliases(name)
            if version is not None:
                aliases[alias] = version
            elif aliases.pop(alias, None) is None:
                raise PackageRefused(f"{name} has no alias {alias!r}")
            write_aliases(self.models_directory / name, aliases)
            return aliases

    def rollback(self, name: str) -> dict[str, str]:
        """Let the version that served before the last promotion serve again; raises PackageRefused without one.

        What is left so is never what one goes back to: said twice, by a retry, it would serve again.
        """
        self.verify(name, verified := previous_version(name, self.aliases(name)))
        with self._deciding(name, verified):
            aliases = self.aliases(name)
            previous = previous_version(name, aliases)
            if previous != verified:
                self.verify(name, previous)
            del aliases[PREVIOUS]
            return self._serve(name, previous, aliases)

    def _serve(self, name: str, version: str, aliases: dict[str, str]) -> dict[str, str]:
        aliases[PRODUCTION] = version
        write_aliases(self.models_directory / name, aliases)
        self._end_trials(name, version)
        return aliases

    def remove(self, name: str, version: str) -> None:
        """Delete one version and the aliases that point to it; raises PackageRefused while it is the one promoted."""
        with self._deciding(name, version):
            self._remove(self.models_directory / name, version)

    def _remove(self, parent: Path, version: str) -> None:
        aliases = read_aliases(parent)
        others = [other for other in self.versions(parent.name) if other != version]
        if others and aliases.get(PRODUCTION) == version:
            raise PackageRefused(f"{parent.name}/{version} is in production; promote another version first")
        if others and version in aliases.values():
            write_aliases(parent, {alias: target for alias, target in aliases.items() if target != version})
        if others:
            self._end_trials(parent.name, version)
        # Renamed first: a server that starts meanwhile sees the whole version or none of it.
        doomed = Path(tempfile.mkdtemp(prefix=f".{version}-", dir=parent))
        (parent / version).rename(doomed)
        shutil.rmtree(doomed)
        if not others:
            shutil.rmtree(parent)

    def _end_trials(self, name: str, version: str) -> None:
        """For who decides already."""
        life = self.life(name)
        tried = {"canary": life.canary and life.canary.version, "shadow": life.shadow}
        if over := {trial: None for trial, its in tried.items() if its == version}:
            write_life(self.models_directory / name, life.model_copy(update=over))
