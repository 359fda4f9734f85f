extension LearnedCommands {
    /// What holds on the nodes of both: a flag that permits something only if all nodes give it, any other if one does. Keys,
    /// tips and key specs are this value's where both know the command. A side that nobody reported to changes nothing.
    package func merged(with other: LearnedCommands) -> LearnedCommands {
        guard hasReports, self != other else { return other }
        guard other.hasReports else { return self }
        var merged: [Entry] = entries.map { entry in
            if let theirs = other.entry(named: entry.name) { return entry.merged(with: theirs) }
            return entry.merged(withContainer: other.containerEntry(standingInFor: entry.name))
        }
        for theirs in other.entries where entry(named: theirs.name) == nil {
            merged.append(theirs.merged(withContainer: containerEntry(standingInFor: theirs.name)))
        }
        if merged.count > Self.maximumCount {
            // What one side alone has goes to the master, known or not, so it may be forgotten first. Cut in the order of
            // names, so that no subcommand loses its container.
            merged.removeAll { !$0.isOnEveryNode }
            merged.sort { $0.name < $1.name }
            merged.removeLast(max(0, merged.count - Self.maximumCount))
        }
        return LearnedCommands(entries: merged)
    }

    /// The built-in table as a node that has exactly those commands would report it: for nodes of our own, simulations and
    /// tests.
    package static let builtIn = LearnedCommands(
        entries: CommandTableText.commands.filter { !$0.flags.contains(.onlySentinel) }.map { command in
            Entry(
                name: command.name, arity: command.arity, flags: command.flags, firstKey: command.firstKey,
                lastKey: command.lastKey, keyStep: command.keyStep, categories: command.categories, tips: command.tips,
                keySpecs: command.keySpecs, hasSubcommands: !command.subcommands.isEmpty, isOnEveryNode: true
            )
        }
    )
}

extension LearnedCommands.Entry {
    fileprivate func merged(with other: Self) -> Self {
        var merged = self
        if arity != other.arity { merged.arity = -min(abs(arity), abs(other.arity)) }
        merged.flags = flags.mergedCarefully(with: other.flags)
        merged.categories = categories.union(other.categories)
        merged.keySpecs = keySpecs ?? other.keySpecs
        merged.hasSubcommands = hasSubcommands || other.hasSubcommands
        merged.isOnEveryNode = isOnEveryNode && other.isOnEveryNode
        return merged
    }

    /// This entry where the other side lists only its container, or doesn't know it at all.
    fileprivate func merged(withContainer container: Self?) -> Self {
        var merged = self
        merged.isOnEveryNode = isOnEveryNode && container?.isOnEveryNode == true
        if let container, !container.flags.contains(.readonly) { merged.flags.remove(.readonly) }
        return merged
    }
}
