/// Where a command's keys are and what happens to them (https://redis.io/docs/latest/develop/reference/key-specs/).
package struct KeySpec: Hashable, Sendable {
    package struct Flags: OptionSet, Hashable, Sendable {
        package var rawValue: UInt16

        package init(rawValue: UInt16) {
            self.rawValue = rawValue
        }

        /// Reads the value only.
        package static let readOnly = Self(rawValue: 1 << 0)
        /// Changes the value, and may look at it or return it.
        package static let readWrite = Self(rawValue: 1 << 1)
        /// Replaces the value without looking at it.
        package static let overwrite = Self(rawValue: 1 << 2)
        /// Removes the key.
        package static let remove = Self(rawValue: 1 << 3)
        /// Returns or uses the user's data.
        package static let access = Self(rawValue: 1 << 4)
        package static let update = Self(rawValue: 1 << 5)
        package static let insert = Self(rawValue: 1 << 6)
        package static let delete = Self(rawValue: 1 << 7)
        /// Not a key, but routed like one (a shard channel).
        package static let notKey = Self(rawValue: 1 << 8)
        /// The spec may miss keys.
        package static let incomplete = Self(rawValue: 1 << 9)
        /// What happens to the key depends on the arguments.
        package static let variable = Self(rawValue: 1 << 10)

        static let names: [(name: String, flag: Self)] = [
            ("RO", .readOnly), ("RW", .readWrite), ("OW", .overwrite), ("RM", .remove), ("access", .access),
            ("update", .update),
            ("insert", .insert), ("delete", .delete), ("not_key", .notKey), ("incomplete", .incomplete),
            ("variable_flags", .variable),
        ]

        /// The flag of that name, or nil for a name that isn't known here.
        init?(name: String) {
            guard let found = Self.names.first(where: { $0.name == name }) else { return nil }
            self = found.flag
        }
    }

    /// Where to begin to look; argument 0 is the command's name.
    package enum Begin: Hashable, Sendable {
        case index(Int)
        /// After that word, looked for from argument `from` on; a negative `from` counts from the end and looks backwards.
        case keyword(String, from: Int)
        case unknown
    }

    /// Which arguments from there on are keys.
    package enum Find: Hashable, Sendable {
        /// Up to `last`, relative to the beginning, or from the end if negative; if `last` is -1 a `limit` of n above 1 stops
        /// after one n-th of the arguments.
        case range(last: Int, step: Int, limit: Int)
        /// The argument at `count`, relative to the beginning, says how many; the first is at `first`, relative to the
        /// beginning.
        case keyNumber(count: Int, first: Int, step: Int)
        case unknown
    }

    package var flags: Flags
    package var begin: Begin
    package var find: Find

    package init(flags: Flags, begin: Begin, find: Find) {
        self.flags = flags
        self.begin = begin
        self.find = find
    }

    /// Whether all keys that the spec speaks of can be found with it.
    var isComplete: Bool { !flags.contains(.incomplete) && begin != .unknown && find != .unknown }
}
