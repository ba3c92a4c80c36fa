import java.nio.file.Path;

/** ARGS: DATABASE write|check DIRECTORY. Prints the same on every system and in every run. */
public final class Databases {
    private Databases() {
    }

    public static void main(String[] args) throws Exception {
        Path directory = Path.of(args[2]);
        boolean writes = args[1].equals("write");
        switch (args[0]) {
            case "h2", "derby" -> {
                if (writes) {
                    Jdbc.write(args[0], directory);
                } else {
                    Jdbc.check(args[0], directory);
                }
            }
            case "zookeeper" -> {
                if (writes) {
                    Keeper.write(directory);
                } else {
                    Keeper.check(directory);
                }
            }
            case "kafka" -> {
                if (writes) {
                    Broker.write(directory);
                } else {
                    Broker.check(directory);
                }
            }
            default -> throw new IllegalArgumentException(args[0]);
        }
        System.out.println(args[0] + " " + args[1] + " done");
        // The servers' threads may stay for a while.
        System.exit(0);
    }
}
