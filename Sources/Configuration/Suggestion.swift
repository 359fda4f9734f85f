/// Finds the name that someone probably meant.
enum Suggestion {
    /// The first of the nearest candidates by edit distance, or nil if none is near enough to be a slip of the keyboard: one edit
    /// for every three characters, at most three.
    static func nearest(to word: String, among candidates: some Sequence<String>) -> String? {
        let word = Array(word.lowercased().utf8.prefix(Limits.nameBytes + 1))
        guard !word.isEmpty, word.count <= Limits.nameBytes else { return nil }
        var best: (name: String, distance: Int)?
        for candidate in candidates {
            let limit = min(3, max(1, min(word.count, candidate.utf8.count) / 3))
            let distance = distance(word, Array(candidate.utf8))
            if distance <= limit, distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        return best?.name
    }

    /// Insertions, deletions, substitutions and swaps of neighbours that turn one word into the other (optimal string alignment,
    /// the restricted form of F. J. Damerau, 'A technique for computer detection and correction of spelling errors', 1964).
    static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var beforePrevious: [Int] = []
        var previous = Array(0...right.count)
        for i in left.indices {
            var current = [i + 1]
            for j in right.indices {
                let substitution = previous[j] + (left[i] == right[j] ? 0 : 1)
                var cost = min(substitution, previous[j + 1] + 1, current[j] + 1)
                if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
                    cost = min(cost, beforePrevious[j - 1] + 1)
                }
                current.append(cost)
            }
            beforePrevious = previous
            previous = current
        }
        return previous[right.count]
    }
}
