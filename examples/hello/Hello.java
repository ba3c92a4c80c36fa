/** Says where it runs. Arguments are echoed; a number as the first one becomes the exit status. */
public class Hello {
    public static void main(String[] args) {
        System.out.println("Hello from Java " + System.getProperty("java.version") + " on "
                + Runtime.getRuntime().availableProcessors() + " CPUs");
        for (String arg : args) {
            System.out.println("argument: " + arg);
        }
        if (args.length > 0 && args[0].matches("\\d{1,3}")) {
            System.exit(Integer.parseInt(args[0]));
        }
    }
}
