import Wire

/// One command that the monitor asks a node, and how it is written.
enum Probe: Equatable {
    case authenticate(user: String?, password: String)
    case serverInfo, databases, commands
    case role, ping, replicationInfo

    /// The command without its secrets, for log lines.
    var name: String {
        switch self {
        case .authenticate: "AUTH"
        case .serverInfo, .replicationInfo: "INFO"
        case .databases: "CONFIG GET"
        case .commands: "COMMAND"
        case .role: "ROLE"
        case .ping: "PING"
        }
    }

    private var arguments: [String] {
        switch self {
        case .authenticate(nil, let password): ["AUTH", password]
        case .authenticate(let user?, let password): ["AUTH", user, password]
        case .serverInfo: ["INFO", "server"]
        case .databases: ["CONFIG", "GET", "databases"]
        case .commands: ["COMMAND"]
        case .role: ["ROLE"]
        case .ping: ["PING"]
        case .replicationInfo: ["INFO", "replication"]
        }
    }

    /// Appends the request as an array of bulk strings.
    func append(to bytes: inout [UInt8]) {
        bytes.appendCommand(arguments)
    }
}

/// What the monitor authenticates with towards the nodes.
struct BackendCredentials: Equatable {
    var user: String?
    var password: String?

    var probe: Probe? {
        password.map { .authenticate(user: user, password: $0) }
    }
}

/// Answers to what is asked once per connection.
struct GreetingReport {
    /// Nil while the node could not be asked.
    var server: ServerReport?
    /// Nil if the node did not say: an ACL may forbid CONFIG.
    var databases: Int?
    /// Nil if the node did not say; `commandsRefusal` then tells why.
    var commands: LearnedCommands?
    var commandsRefusal: String?
    /// The node refused the password because it has none, which harms nothing.
    var hasNoPassword = false
    /// Why the node can't answer now (BUSY, LOADING): the greeting must be asked again.
    var postponed: Refusal?
}

/// Answers to what is asked every second.
struct RoundReport {
    /// Which of the monitor's rounds it answers, so that offsets of the same moment can be compared.
    var number: UInt64
    /// The first on its connection. It is sent while the greeting's answers are still being worked on, which would count as latency.
    var followsGreeting: Bool
    var role: RoleReport?
    var replication: ReplicationReport?
    /// From sending to the answer of PING.
    var latencyNanoseconds: UInt64?
    /// The worst that was answered; nil if all three answers were good.
    var trouble: Trouble?

    struct Trouble: Equatable {
        var refusal: Refusal
        var command: String

        /// What outweighs what if several answers are errors.
        private var weight: Int {
            switch refusal {
            case .credentials: 6
            case .loading: 5
            case .busy: 4
            case .permission: 3
            case .other: 2
            case .masterDown: 1
            case .misconfigured: 0
            }
        }

        func worse(than other: Trouble?) -> Bool {
            other.map { weight > $0.weight } ?? true
        }
    }

    mutating func note(_ refusal: Refusal, of command: String) {
        let found = Trouble(refusal: refusal, command: command)
        if found.worse(than: trouble) { trouble = found }
    }
}
