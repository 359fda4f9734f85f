/// What this program calls itself.
package enum Product {
    package static let name = "switchyard"
    package static let version = "0.1.0"
}

/// For what must be said before there is a log.
package enum StandardError {
    package static func write(_ text: String) {
        var text = text
        text.withUTF8 { _ = SystemCalls.write(2, UnsafeRawBufferPointer($0)) }
    }
}
