import Glibc
import Proxy
import Wire

/// Opens the process's listeners before any loop starts, so that a port that can't be had is known at once.
enum Listening {
    /// One entry of `bind`.
    struct BindAddress: Equatable {
        var host: String
        /// Written with a leading `-`: no error when this machine has no such address.
        var isOptional: Bool

        /// `*` and `::*` are all addresses of their kind, as in redis.conf.
        init(_ text: String) {
            isOptional = text.hasPrefix("-")
            let host = isOptional ? String(text.dropFirst()) : text
            switch host {
            case "*": self.host = "0.0.0.0"
            case "::*": self.host = "::"
            default: self.host = host
            }
        }
    }

    /// All addresses of `bind`, looked up; an optional one without an address is left out.
    static func addresses(of options: ProxyOptions, port: Int) throws(SystemError) -> [(SocketAddress, isOptional: Bool)] {
        var result: [(SocketAddress, isOptional: Bool)] = []
        for text in options.bind {
            let bind = BindAddress(text)
            switch Resolver.lookUp(Endpoint(host: bind.host, port: port)) {
            case .addresses(let addresses): result += addresses.map { ($0, isOptional: bind.isOptional) }
            case .failed where bind.isOptional: continue
            case .failed: throw SystemError(attempt: "bind \(bind.host):\(port)", code: EADDRNOTAVAIL)
            }
        }
        return result
    }

    /// Clients' listeners for each worker: one socket per address of its own, and one Unix socket for all of them. The names are
    /// what they listen on, for the log.
    static func open(
        _ options: ProxyOptions, workerCount: Int
    ) throws(SystemError) -> (workers: [[Listener]], names: [String]) {
        var workers = [[Listener]](repeating: [], count: workerCount)
        var names: [String] = []
        for (address, isOptional) in options.port == 0 ? [] : try addresses(of: options, port: options.port) {
            do throws(SystemError) {
                try Sockets.checkUnused(address)
                for index in 0..<workerCount {
                    let socket = try Sockets.listen(on: address, sharing: .betweenThreads)
                    Sockets.configure(socket.number, keepaliveSeconds: options.tcpKeepaliveSeconds)
                    workers[index].append(Listener(descriptor: socket.release(), isShared: false, path: nil))
                }
                names.append(address.description)
            } catch {
                guard isOptional, isMissing(error) else { throw error }
            }
        }
        if let path = options.unixSocket {
            let socket = try Sockets.listen(onPath: path).release()
            for index in 0..<workerCount { workers[index].append(Listener(descriptor: socket, isShared: true, path: path)) }
            names.append(path)
        }
        return (workers, names)
    }

    /// Listeners of the metrics server, on the same addresses.
    static func openMetrics(_ options: ProxyOptions) throws(SystemError) -> (descriptors: [Int32], names: [String]) {
        guard options.metricsPort != 0 else { return ([], []) }
        var descriptors: [Int32] = []
        var names: [String] = []
        for (address, isOptional) in try addresses(of: options, port: options.metricsPort) {
            do throws(SystemError) {
                descriptors.append(try Sockets.listen(on: address, sharing: .exclusive).release())
                names.append(address.description)
            } catch {
                guard isOptional, isMissing(error) else { throw error }
            }
        }
        return (descriptors, names)
    }

    /// The machine has no such address or no such protocol: what a leading `-` forgives. A port in use is never forgiven.
    private static func isMissing(_ error: SystemError) -> Bool {
        [EADDRNOTAVAIL, ENOPROTOOPT, EPROTONOSUPPORT, ESOCKTNOSUPPORT, EPFNOSUPPORT, EAFNOSUPPORT].contains(error.code)
    }
}
