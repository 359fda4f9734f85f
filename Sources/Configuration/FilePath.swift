/// Paths as text, without a look at the file system.
enum FilePath {
    /// The path seen from the directory of the file that names it. Never `-`, which would be standard input.
    static func resolve(_ path: String, from file: String?) -> String {
        if path.hasPrefix("/") { return path }
        guard let file, let slash = file.lastIndex(of: "/") else { return path == "-" ? "./-" : path }
        return String(file[...slash]) + path
    }

    /// Without `.`, `..` and doubled slashes as far as the text tells: two spellings of one path become equal. Symbolic links are
    /// not followed, so this is only for comparing.
    static func normalized(_ path: String) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == "..", let last = parts.last, last != ".." { parts.removeLast() } else { parts.append(part) }
        }
        return (path.hasPrefix("/") ? "/" : "") + parts.joined(separator: "/")
    }
}
