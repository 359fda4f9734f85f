import Wire

typealias LanePointer = UnsafeMutablePointer<Lane>

/// What a connection to a node logs in with.
struct Identity: Hashable {
    /// Nil for the proxy's own `backend-user` and `backend-password`.
    var user: [UInt8]?
    var password: [UInt8] = []

    static let proxy = Identity(user: nil)
}

/// The connections that clients of equal credentials, protocol version and database share: one per node, opened when first
/// needed, and a pool of private ones.
///
/// A connection never changes its database or protocol, so no request can run in the wrong one whatever happens around it.
struct Lane: ~Copyable {
    let identity: Identity
    let protocolVersion: UInt8
    let database: Int
    /// Sessions that use it.
    var sessions = 0
    var unusedSince = Instant(nanoseconds: 0)
    /// A master has accepted these credentials and this database.
    var isValidated = false
    /// By node index.
    let shared: UnsafeMutablePointer<ConnectionPointer?>
    /// Private connections to the master that nobody uses at the moment, newest last.
    var idle: [ConnectionPointer] = []

    init(identity: Identity, protocolVersion: UInt8, database: Int) {
        self.identity = identity
        self.protocolVersion = protocolVersion
        self.database = database
        shared = .allocate(capacity: Worker.maximumNodes)
        shared.initialize(repeating: nil, count: Worker.maximumNodes)
    }

    deinit {
        shared.deallocate()
    }
}
