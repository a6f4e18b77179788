public import SystemPackage

/// Something to look through.
public enum ScanTarget: Sendable, Hashable {
    /// A file, or a directory with all that is in it. Symbolic links are not followed.
    case path(FilePath)
    /// The memory of a process of one's own.
    case process(Int32)
    /// What comes out of a descriptor, to its end.
    case descriptor(Int32, name: String)
}
