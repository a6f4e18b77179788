// Types of the rooms below that an app meets. They are exported by name, so that `import Strongroom` is enough and
// everything else stays out of sight.

@_exported public import protocol ErrorReporting.ReportableError
@_exported public import enum ErrorReporting.ErrorCategory
@_exported public import struct KeyPolicy.KeyPolicy
@_exported public import struct KeyPolicy.PageFormat
@_exported public import struct Keyring.DataKeyInfo
@_exported public import struct Keyring.KeyID
@_exported public import enum Keyring.KeyScope
@_exported public import enum Keyring.KeyState
@_exported public import struct Keyring.ProfileID
@_exported public import struct Keyring.RootKeyInfo
@_exported public import struct Keyring.RecoveryKey
@_exported public import struct Keyring.RotationInfo
@_exported public import class Keyring.UnlockSecret
@_exported public import struct Keyring.UnlockerInfo
@_exported public import enum Secrets.ProcessHardening
@_exported public import struct Secrets.SecretBytes
@_exported public import struct Snapshots.PruneReport
@_exported public import struct Snapshots.Retention
@_exported public import struct Snapshots.Snapshot
@_exported public import struct Snapshots.SnapshotError
@_exported public import struct Snapshots.SnapshotExport
@_exported public import struct Snapshots.SnapshotList
@_exported public import struct Snapshots.SnapshotProgress
@_exported public import struct Snapshots.SnapshotReason
@_exported public import struct Snapshots.SnapshotReport
@_exported public import struct Snapshots.UnusableSnapshot
@_exported public import class Snapshots.VerifyKey
@_exported public import struct SystemPackage.FilePath
@_exported public import struct Keyring.UnlockTry
@_exported public import typealias Keyring.UnlockTryHandler
