import Configuration
import Proxy
import Wire

extension ControlLoop {
    /// What a worker asks on behalf of a client.
    func answer(_ question: Question) -> Answer {
        switch question {
        case .configGet(let patterns):
            return .pairs(Configuration.values(of: options, matching: patterns))
        case .configSet(let pairs):
            do throws(ConfigurationError) {
                adopt(try Configuration.apply(pairs: pairs, to: options), by: "PROXY CONFIG SET")
                return .none
            } catch {
                return .failure(error.description)
            }
        case .topologyDetail:
            return .topology(monitor.currentTopology)
        case .statistics, .clientList, .clientKill, .clientUnblock, .clientPause, .clientUnpause, .clientUpstreamID:
            return .failure("the control loop has no clients")
        }
    }

    /// SIGHUP: the files again, under the same command line. Whatever is wrong with them, the running options stay.
    func reload() {
        guard configuration.canBeReloaded else {
            context.log(.warning, "SIGHUP: there is no configuration file to read again")
            return
        }
        do throws(ConfigurationError) {
            let loaded = try Configuration.load(path: configuration.path, commandLine: configuration.commandLine)
            let reload = try Configuration.reload(loaded.options, over: options)
            configuration = loaded
            for name in reload.needRestart {
                context.log(.warning, "\(name) has changed but needs a restart; the old value stays")
            }
            if reload.changes.isEmpty { context.log(.notice, "Configuration read again; nothing to change") }
            adopt(reload.options, by: "SIGHUP")
        } catch {
            context.log(.warning, "Configuration not reloaded, the old one stays: \(error)")
        }
    }

    /// Makes the options those of every loop.
    private func adopt(_ new: ProxyOptions, by origin: String) {
        let changes = Configuration.changes(from: options, to: new)
        guard !changes.isEmpty else { return }
        for change in changes { context.log(.notice, "\(origin): \(change)") }
        options = new
        do throws(SystemError) {
            try context.log.configure(new)
        } catch {
            context.log(.warning, "the log stays where it is: \(error)")
        }
        monitor.apply(new, now: now)
        context.postToWorkers(.options(new))
    }
}
