/// Writes the Prometheus text exposition format, version 0.0.4.
struct PrometheusText {
    enum Kind: String { case counter, gauge, histogram }

    /// One label; the value may be anything.
    struct Label {
        var name: StaticString
        var value: String
        init(_ name: StaticString, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    private(set) var bytes: [UInt8] = []

    /// Begins a metric; its samples follow.
    mutating func begin(_ name: String, _ kind: Kind, _ help: String) {
        write("# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n")
    }

    mutating func sample(_ name: String, _ labels: [Label], _ value: some BinaryInteger) {
        write(name)
        write(labels)
        write(" \(value)\n")
    }

    mutating func sample(_ name: String, _ labels: [Label], _ value: Double) {
        write(name)
        write(labels)
        write(" \(Self.number(value))\n")
    }

    /// One labelled histogram from counts per bucket, of which the last has no upper bound.
    mutating func histogram(_ name: String, _ labels: [Label], bounds: [Double], counts: [UInt64], sum: Double) {
        precondition(counts.count == bounds.count + 1, "a histogram needs one bucket past the last bound")
        var total: UInt64 = 0
        for (index, count) in counts.enumerated() {
            total += count
            let bound = index < bounds.count ? Self.number(bounds[index]) : "+Inf"
            sample("\(name)_bucket", labels + [Label("le", bound)], total)
        }
        sample("\(name)_sum", labels, sum)
        sample("\(name)_count", labels, total)
    }

    private mutating func write(_ labels: [Label]) {
        guard !labels.isEmpty else { return }
        let list = labels.map { "\($0.name)=\"\(Self.escaped($0.value))\"" }
        write("{\(list.joined(separator: ","))}")
    }

    private mutating func write(_ text: String) {
        bytes.append(contentsOf: text.utf8)
    }

    static func escaped(_ value: String) -> String {
        var result = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return "\(value)"
    }
}
