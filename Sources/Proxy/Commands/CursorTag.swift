import Wire

/// How a SCAN cursor remembers its node: in the bits that no real cursor uses.
///
/// A cursor counts buckets of one node's hash table, so on another node, or on the same one after a restart, it means nothing. A
/// server without cluster mode uses no more bits than its largest table has, so forty are plenty. Twelve more make the tag, and
/// all of it stays below 2^53: some client libraries keep cursors in a double. The tag needs no table here, so a cursor can be
/// used from any connection, thread and proxy.
enum CursorTag {
    static let cursorBits: UInt64 = 40
    static let tagBits: UInt64 = 12

    /// Never 0, which stands for a cursor without a tag.
    static func make(endpoint: Endpoint, runID: String) -> UInt64 {
        // FNV-1a: equal in every process.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in "\(endpoint) \(runID)".utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let folded = (hash ^ (hash >> 24) ^ (hash >> 44)) & ((1 << tagBits) - 1)
        return folded == 0 ? 1 : folded
    }

    static func tag(of cursor: UInt64) -> UInt64 { cursor >> cursorBits }
    static func strip(_ cursor: UInt64) -> UInt64 { cursor & ((1 << cursorBits) - 1) }

    /// Nil when the node's own cursor needs the tag's bits: it is then passed on as it is, and belongs to the master.
    static func apply(_ tag: UInt64, to cursor: UInt64) -> UInt64? {
        cursor >> cursorBits == 0 ? cursor | tag << cursorBits : nil
    }
}
