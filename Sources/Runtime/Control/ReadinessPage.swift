import Proxy

/// `/readyz`: whether writes have somewhere to go, and why not.
enum ReadinessPage {
    static func response(_ topology: Topology, isDraining: Bool) -> HTTPResponse {
        if isDraining { return HTTPResponse(status: 503, text: "draining\n") }
        if let index = topology.masterIndex, topology.nodes[index].health == .up {
            return HTTPResponse(status: 200, text: "ready, master \(topology.nodes[index].endpoint)\n")
        }
        var text = "no confirmed master that answers\n"
        for node in topology.nodes { text += "\(node.endpoint) \(condition(of: node))\n" }
        return HTTPResponse(status: 503, text: text)
    }

    private static func condition(of node: NodeState) -> String {
        switch node.health {
        case .down(let reason): "is down: \(reason)"
        case .unusable(let reason): "is unusable: \(reason)"
        case .up: "is up as \(node.role.rawValue)"
        }
    }
}
