/// An error reply of a node to one of the monitor's own commands, sorted by what it means for the node's use.
///
/// Source: the error codes at the start of Redis' error replies (`-CODE text`); Redis 7.0 and Valkey 8.1 were asked.
enum Refusal: Equatable {
    /// NOAUTH or WRONGPASS: our credentials are missing or wrong.
    case credentials(String)
    case loading
    /// The replica has lost its master and was told not to serve stale data.
    case masterDown
    /// Our user may not run a command.
    case permission
    /// A script or function runs; the node answers nothing else until it ends.
    case busy
    /// The node can't save to disk and therefore refuses writes; PING tells.
    case misconfigured(String)
    case other(String)

    init(_ error: [UInt8]) {
        let text = PeerText.clean(error)
        switch text.prefix(while: { $0 != " " }) {
        case "NOAUTH", "WRONGPASS": self = .credentials(text)
        case "LOADING": self = .loading
        case "MASTERDOWN": self = .masterDown
        case "NOPERM": self = .permission
        case "BUSY": self = .busy
        case "MISCONF": self = .misconfigured(text)
        default: self = .other(text)
        }
    }

    /// Why the node can't be used, for an operator; `command` is what was refused.
    func explanation(of command: String, user: String?) -> String {
        switch self {
        case .credentials(let text):
            return "refused the credentials (\(text)): set backend-password, and backend-user for an ACL user"
        case .loading:
            return "loading the data set"
        case .masterDown:
            return "has lost its master and was told not to serve stale data (replica-serve-stale-data no)"
        case .permission:
            return "does not permit \(command): run ACL SETUSER \(user ?? "default") +\(command.lowercased()) there"
        case .busy:
            return "busy running a script: SCRIPT KILL or FUNCTION KILL ends one that has not written"
        case .misconfigured(let text), .other(let text):
            return "answered \(command) with an error: \(text)"
        }
    }
}
