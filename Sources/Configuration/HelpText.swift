/// What `switchyard --help` prints.
package enum HelpText {
    /// The synopsis and every directive of the table, in lines of at most about 120 characters, ending with a newline.
    package static var text: String {
        var lines = [
            "Usage: switchyard [proxy.conf] [--directive value ...]",
            "       switchyard - [--directive value ...]         read the configuration from standard input",
            "       switchyard --check [proxy.conf] [...]        only say whether the configuration is valid",
            "       switchyard --version | --help",
            "",
            "Example: switchyard --master 10.0.0.1:6379 --replica 10.0.0.2:6379 --replica 10.0.0.3:6379 weight 2",
            "",
            "Directives, each also a line of proxy.conf without the --. The command line is applied after the file; replica,",
            "rename-command and deny-command add to what was there. Sizes take k, kb, m, mb, g, gb; durations ms, s, m, h.",
        ]
        for directive in DirectiveTable.all {
            lines += ["", "  --\(directive.name) \(directive.usage)", "      \(directive.summary).", "      \(directive.facts)"]
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
